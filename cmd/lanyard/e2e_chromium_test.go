package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// chromium starts a headless Chromium, closed at the end of the test. LANYARD_SCREENSHOTS is a folder for what it saw.
func chromium(t *testing.T, flags ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil && os.Getenv("CI") != "" {
		t.Fatal("chromium is not installed, and CI is set")
	} else if err != nil {
		t.Skip("chromium is not installed: nothing is tested in a browser")
	}
	opts := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir())}
	for _, flag := range []string{"headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-component-update", "disable-sync", "disable-dev-shm-usage"} {
		opts = append(opts, chromedp.Flag(flag, true))
	}
	opts = append(opts, chromedp.Flag("disable-features", "Translate,OptimizationHints,MediaRouter,HttpsUpgrades,HttpsFirstBalancedModeAutoEnable"))
	all, stop := chromedp.NewExecAllocator(context.Background(), append(opts, flags...)...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(all)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting chromium: %v", err)
	}
	return ctx
}

// tab is a window of a browser with cookies of its own. What its pages complain about, and whom they talk to, is looked
// at in the end.
type tab struct {
	t     *testing.T
	ctx   context.Context
	mu    sync.Mutex
	hosts map[string]bool
	wrong []string
}

func newTab(t *testing.T, chromium context.Context) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(chromium, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	b := &tab{t: t, hosts: map[string]bool{}}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatal(err)
	}
	b.ctx, cancel = context.WithTimeout(ctx, 90*time.Second)
	t.Cleanup(cancel)
	tell(b, network.Enable, network.EnableParams{})
	tell(b, cdplog.Enable, cdp.Empty{})
	b.do(chromedp.EmulateViewport(1280, 800))
	return b
}

func (b *tab) hear(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(ev.Request.URL); err == nil && u.Host != "" {
			b.hosts[u.Host] = true
		}
	case *cdplog.EventEntryAdded:
		if e := ev.Entry; e.Level == "error" || e.Level == "warning" || e.Source == "security" {
			b.wrong = append(b.wrong, e.Text+" "+e.URL)
		}
	case *runtime.EventExceptionThrown:
		b.wrong = append(b.wrong, ev.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		b.wrong = append(b.wrong, fmt.Sprintf("console.%s %v", ev.Type, ev.Args))
	}
}

// tell gives the browser a command of its protocol.
func tell[P, R any](b *tab, command cdp.Command[P, R], params P) {
	b.t.Helper()
	b.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error { return second(cdp.Call(ctx, t, command, params)) }))
}

// ask returns what an expression is on the page.
func ask[T any](b *tab, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.fail(err)
	}
	return v
}

// clean demands that nothing was complained about but what is expected, and nobody was talked to but hosts.
func (b *tab) clean(hosts ...string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, w := range b.wrong {
		// That a page is a refusal is no complaint.
		if !strings.Contains(w, "the server responded with a status of 4") {
			b.t.Errorf("the browser complains: %s", w)
		}
	}
	known := map[string]bool{}
	for _, h := range hosts {
		known[must(url.Parse(h)).Host] = true
	}
	for h := range b.hosts {
		if !known[h] {
			b.t.Errorf("the browser talked to %s", h)
		}
	}
}

func (b *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.fail(err)
	}
}

// press does what may lead the tab to another page, before it is let go of: then the old page can not answer for it.
func (b *tab) press(action chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, action); err != nil && !left(err) {
		b.fail(err)
	}
}

// left tells if a page was gone before it could answer.
func left(err error) bool {
	return strings.Contains(err.Error(), "Inspected target navigated or closed")
}

// leave runs a script that leads to another page.
func (b *tab) leave(expression string) {
	b.t.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](expression+", true")); err != nil && !left(err) {
		b.fail(err)
	}
}

// fail ends the test, showing where the browser was.
func (b *tab) fail(err error) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(context.WithoutCancel(b.ctx), 5*time.Second)
	defer stop()
	at, _ := chromedp.Run(ctx, chromedp.Location())
	text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
	b.shot("failed")
	b.mu.Lock()
	defer b.mu.Unlock()
	b.t.Fatalf("%v, at %s:\n%s\n%q", err, at, text, b.wrong)
}

func (b *tab) open(address string) { b.t.Helper(); b.do(chromedp.Navigate(address)) }

// sees waits until the page shows a text.
func (b *tab) sees(text string) {
	b.t.Helper()
	for range 200 {
		ctx, stop := context.WithTimeout(b.ctx, 5*time.Second)
		found, _ := chromedp.Run(ctx, chromedp.Evaluate[bool](fmt.Sprintf(`document.readyState === 'complete' && document.body.innerText.replace(/\s+/g, ' ').includes(%q)`, text)))
		stop() // while the browser is on its way there may be no page to ask
		if found {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.fail(fmt.Errorf("the page does not say %q", text))
}

// click clicks the link or button of that name.
func (b *tab) click(name string) {
	b.t.Helper()
	b.press(chromedp.Click(chromedp.Search(fmt.Sprintf(`//*[self::a or self::button][contains(normalize-space(.), %q)]`, name))))
}

// at demands the address of the page, but for its query.
func (b *tab) at(address string) {
	b.t.Helper()
	if got := b.where(); strings.Split(got, "?")[0] != address {
		b.t.Errorf("at %s, not at %s", got, address)
	}
}

func (b *tab) where() string {
	b.t.Helper()
	address, err := chromedp.Run(b.ctx, chromedp.Location())
	if err != nil {
		b.fail(err)
	}
	return address
}

// keys types on the keyboard, wherever the focus is.
func (b *tab) keys(text string) { b.t.Helper(); b.press(chromedp.KeyEvent(text)) }

// signIn uses the keyboard only: the first empty field has the focus already.
func (b *tab) signIn(username, password string) {
	b.t.Helper()
	b.do(chromedp.WaitVisible(chromedp.CSS("#password")))
	b.keys(username + "\t" + password + "\r")
}

// shot keeps a picture of the page where LANYARD_SCREENSHOTS names a folder for it.
func (b *tab) shot(name string) {
	dir := os.Getenv("LANYARD_SCREENSHOTS")
	if dir == "" {
		return
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(b.ctx), 10*time.Second)
	defer stop()
	if png, err := chromedp.Run(ctx, chromedp.CaptureScreenshot()); err == nil {
		_ = os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600)
	}
}

// fits demands that a page of 320 CSS pixels does not scroll sideways, and that every control has a name.
func (b *tab) fits(what string) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(320, 640))
	wide := ask[struct {
		Page   int
		Widest string
	}](b, `(() => { let w = ''; for (const e of document.querySelectorAll('body *')) { const r = e.getBoundingClientRect(); const s = getComputedStyle(e);
		if (r.right > 320.5 && s.position !== 'absolute' && !e.closest('svg, pre, .hidden')) w = e.outerHTML.slice(0, 120) } return {Page: document.documentElement.scrollWidth, Widest: w} })()`)
	nameless := ask[[]string](b, `[...document.querySelectorAll('button, a[href], input:not([type=hidden]):not([hidden])')].filter(e => !(e.innerText || e.getAttribute('aria-label') || (e.labels && e.labels.length && e.labels[0].innerText))).map(e => e.outerHTML)`)
	if wide.Page > 320 || wide.Widest != "" {
		b.t.Errorf("%s: %d pixels wide at 320; %s", what, wide.Page, wide.Widest)
	}
	if len(nameless) > 0 {
		b.t.Errorf("%s: controls without a name: %q", what, nameless)
	}
	b.shot("narrow-" + what)
	b.do(chromedp.EmulateViewport(1280, 800))
}

// dark shows the page as a person with a dark desktop sees it.
func (b *tab) dark(on bool) {
	b.t.Helper()
	scheme := "light"
	if on {
		scheme = "dark"
	}
	tell(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	b.do(chromedp.Sleep(400 * time.Millisecond)) // colours change softly
}

// noScript has the browser run no scripts of pages.
func (b *tab) noScript() {
	b.t.Helper()
	tell(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
}

// demonstration is a running `lanyard demo`.
type demonstration struct {
	URL   string
	Apps  []struct{ Name, URL string }
	Users []struct{ Username, Password string }
}

func (d *demonstration) app(t *testing.T, name string) string {
	t.Helper()
	for _, a := range d.Apps {
		if a.Name == name {
			return a.URL
		}
	}
	t.Fatalf("the demo has no %s: %+v", name, d)
	return ""
}

func (d *demonstration) hosts() []string {
	all := []string{d.URL}
	for _, a := range d.Apps {
		all = append(all, a.URL)
	}
	return all
}

func startDemo(t *testing.T) *demonstration {
	t.Helper()
	binary(t) // to build it takes its own time
	begin := time.Now()
	p := start(t, t.TempDir(), os.Environ(), "demo", "--listen", "127.0.0.1:0", "--output", "json")
	d := &demonstration{}
	if err := json.NewDecoder(p.out).Decode(d); err != nil {
		t.Fatalf("demo: %v\n%s", err, p.log)
	}
	t.Logf("the demo was ready after %v", time.Since(begin)) // less than 2 s on a machine that does nothing else
	return d
}
