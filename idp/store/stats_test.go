package store_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/lanyard-sso/lanyard/idp"
	"github.com/lanyard-sso/lanyard/idp/store"
	"github.com/lanyard-sso/lanyard/idp/store/storetest"
)

// What was committed is told once, what was undone not at all, a refusal when it is refused; codes that are no fixed words
// do not grow without bound.
func TestStats(t *testing.T) {
	storetest.Each(t, func(t *testing.T, st *store.Store) {
		before := st.Stats()
		org := &idp.Org{Name: "stats", URL: "https://stats.example"}
		if err := st.Orgs().AddOrg(t.Context(), org); err != nil {
			t.Fatal(err)
		}
		for name, f := range map[string]func(tx *store.Tx) error{
			"ok":    func(*store.Tx) error { return nil },
			"error": func(*store.Tx) error { return errors.New("no") },
			"panic": func(*store.Tx) error { panic("no") },
		} {
			err := st.Write(t.Context(), func(tx *store.Tx) error {
				if err := tx.Event(t.Context(), idp.Event{Org: org.ID, Code: name}); err != nil {
					return err
				}
				return f(tx)
			})
			if (err == nil) != (name == "ok") {
				t.Fatalf("%s: %v", name, err)
			}
		}
		for range 30 {
			st.Events().Refuse(t.Context(), idp.Event{Org: org.ID, Code: "no"})
		}
		got := st.Stats()
		for k, want := range map[store.Told]uint64{{Code: "insertOrg", Outcome: idp.OK}: 1, {Code: "ok", Outcome: idp.OK}: 1, {Code: "error", Outcome: idp.OK}: 0, {Code: "panic", Outcome: idp.OK}: 0, {Code: "no", Outcome: idp.Refused}: 30} {
			if got.Events[k] != want {
				t.Errorf("%v: %d, want %d", k, got.Events[k], want)
			}
		}
		if steps := got.Steps - before.Steps; steps < 4 || got.Seconds <= before.Seconds || got.Busy != 0 || got.Queued > 1 || got.Age <= 0 || got.Age.Seconds() > 5 || got.Within[5] < 4 {
			t.Errorf("%+v", got)
		}
		for i := range 1000 {
			st.Events().Refuse(t.Context(), idp.Event{Org: org.ID, Code: fmt.Sprint("made up ", i)})
		}
		if got := st.Stats(); len(got.Events) > 510 || got.Events[store.Told{Code: "other", Outcome: idp.Refused}] < 490 {
			t.Errorf("%d kinds", len(got.Events))
		}
	})
}
