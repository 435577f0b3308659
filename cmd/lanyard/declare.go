package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/lanyard-sso/lanyard/idp/api"
	"github.com/lanyard-sso/lanyard/idp/store"
)

type applyCmd struct {
	storeFlags
	output
	File       []string `short:"f" required:"" help:"YAML file, folder of them, or - for standard input." placeholder:"FILE|DIR|-"`
	DryRun     bool     `help:"Only say what would be done."`
	Set        string   `default:"default" help:"Name of what is declared together; --prune looks only at what the same set made."`
	Prune      bool     `help:"Delete what the set made and no longer declares."`
	PruneUsers bool     `help:"With --prune: users too."`
	Yes        bool     `short:"y" help:"Do not ask before deleting."`
}

func (applyCmd) Help() string {
	return `All of it is done, or, on any error, nothing. A second run changes nothing.

Examples:

    lanyard apply -f org.yaml --dry-run
    lanyard apply -f declarations/ --prune
    lanyard export | lanyard apply -f -`
}

func (c applyCmd) Run(g *globals) error {
	if c.PruneUsers && !c.Prune {
		return usagef("--prune-users goes with --prune")
	}
	docs, err := readDocs(g, c.File)
	if err != nil {
		return fail(g, err)
	}
	if len(docs) == 0 {
		return errors.New("there is nothing declared in what was given")
	}
	return c.with(g, func(h *house) error {
		plan, err := h.declarer().Apply(h.ctx, h.org, docs, api.Options{
			DryRun: c.DryRun, Set: c.Set, Prune: c.Prune, PruneUsers: c.PruneUsers,
			Confirm: func(p *api.Plan) (bool, error) {
				if c.Yes {
					return true, nil
				}
				fmt.Fprint(g.err, p.String())
				return ask(g, fmt.Sprintf("Delete %d and do the rest?", p.Delete))
			},
		})
		if errors.Is(err, store.ErrLastAdmin) {
			return fmt.Errorf("%w; declare another, or make one first: lanyard user grant-admin NAME", err)
		}
		if err != nil {
			return fail(g, err)
		}
		return c.print(g.out, plan, func(w io.Writer) { fmt.Fprint(w, plan.String()) })
	})
}

// fail prints every fault on a line of its own.
func fail(g *globals, err error) error {
	var faults api.Faults
	if !errors.As(err, &faults) {
		return err
	}
	for _, f := range faults {
		fmt.Fprintln(g.err, printable(f.Error()))
	}
	return errSaid
}

// readDocs reads files, folders (every .yaml, .yml and .json in them) and standard input.
func readDocs(g *globals, files []string) (docs []*api.Doc, err error) {
	var faults api.Faults
	one := func(name string, r io.Reader) {
		more, f := api.Decode(name, r)
		docs, faults = append(docs, more...), append(faults, f...)
	}
	for _, file := range files {
		if file == "-" {
			one("-", g.in)
			continue
		}
		names := []string{file}
		if info, err := os.Stat(file); err == nil && info.IsDir() {
			if names, err = declarations(file); err != nil {
				return nil, err
			}
		}
		for _, name := range names {
			f, err := os.Open(name)
			if err != nil {
				return nil, noFile(name, err)
			}
			one(name, f)
			_ = f.Close()
		}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return docs, nil
}

func declarations(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		switch strings.ToLower(filepath.Ext(e.Name())) {
		case ".yaml", ".yml", ".json":
			if !e.IsDir() {
				names = append(names, filepath.Join(dir, e.Name()))
			}
		}
	}
	sort.Strings(names)
	return names, err
}

// ask asks a question that is answered with y or yes.
func ask(g *globals, question string) (bool, error) {
	fmt.Fprintf(g.err, "%s [y/N] ", question)
	line, err := bufio.NewReader(g.in).ReadString('\n')
	if errors.Is(err, io.EOF) && line == "" {
		fmt.Fprintln(g.err)
		return false, errors.New("nobody answered; where nobody can, say --yes")
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return true, nil
	}
	return false, nil
}

type exportCmd struct {
	storeFlags
	Output string `short:"o" enum:"yaml,json,table" default:"yaml" help:"yaml or json (table is yaml)."`
	One    string `arg:"" optional:"" name:"kind/name" help:"Only this one, like App/Your_Benefits."`
}

func (exportCmd) Help() string {
	return `Secrets and passwords are not exported. What is printed can be applied again as it is.

Examples:

    lanyard export > org.yaml
    lanyard export App/Your_Benefits`
}

func (c exportCmd) Run(g *globals) error {
	return c.with(g, func(h *house) error {
		docs, err := api.Export(h.ctx, h.st, h.org, c.One)
		if err != nil {
			return err
		}
		if c.Output == "json" {
			all := []any{}
			for _, d := range docs {
				v, err := api.JSON(d)
				if err != nil {
					return err
				}
				all = append(all, v)
			}
			return output{"json"}.print(g.out, map[string]any{"items": all}, nil)
		}
		b, err := api.YAML(docs)
		if err != nil {
			return err
		}
		_, err = g.out.Write(b)
		return err
	})
}
