package faults

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"expense/rehearsal/internal/stage"
)

// Result is the outcome of one case.
type Result struct {
	Case string `json:"case"`
	// Version names the program and this command: results of other versions do not count.
	Version string `json:"version"`
	// Problem is what was wrong, "" if the case was survived.
	Problem string  `json:"problem,omitempty"`
	Seconds float64 `json:"seconds"`
}

// Results reads those of a version, by case; the last of a case counts.
func Results(file, version string) (map[string]Result, error) {
	results := map[string]Result{}
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return results, nil
	} else if err != nil {
		return nil, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r Result
		// A kill can cut the last line off: its case counts as not played.
		if json.Unmarshal(lines.Bytes(), &r) == nil && r.Version == version {
			results[r.Case] = r
		}
	}
	return results, lines.Err()
}

// Choice says which cases are played.
type Choice struct {
	// Only takes the cases whose name contains this.
	Only string
	// Worker, from 0, plays its share of Workers.
	Worker, Workers int
}

// Choose takes the worker's lives, with the cases that are not done.
func (c Choice) Choose(lives []Life, done map[string]Result) (chosen []Life) {
	for _, life := range lives {
		life = slices.DeleteFunc(slices.Clone(life), func(x Case) bool {
			_, played := done[x.Name()]
			return played || !strings.Contains(x.Name(), c.Only)
		})
		if len(life) > 0 {
			chosen = append(chosen, life)
		}
	}
	var share []Life
	for i, life := range chosen {
		if i%max(c.Workers, 1) == c.Worker {
			share = append(share, life)
		}
	}
	return share
}

// Run plays the chosen lives one after the other and gives each case's result to note, with how many have been played of all.
func Run(
	ctx context.Context, options stage.Options, choice Choice, version string, done map[string]Result,
	note func(r Result, played, all int) error,
) error {
	options.Out = io.Discard
	s, err := Open(ctx, options)
	if err != nil {
		return err
	}
	defer func() { s.Close() }()
	lives, played, all := choice.Choose(s.Lives(), done), 0, 0
	for _, life := range lives {
		all += len(life)
	}
	for _, life := range lives {
		for len(life) > 0 && ctx.Err() == nil {
			start := time.Now()
			survived, problem := s.Play(ctx, life)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			seconds := time.Since(start).Seconds() / float64(min(survived+1, len(life)))
			for _, c := range life[:survived] {
				played++
				if err := note(Result{Case: c.Name(), Version: version, Seconds: seconds}, played, all); err != nil {
					return err
				}
			}
			life = life[survived:]
			if problem == nil {
				continue
			}
			played++
			if err := note(Result{Case: life[0].Name(), Version: version, Problem: problem.Error(), Seconds: seconds}, played, all); err != nil {
				return err
			}
			life = life[1:]
			s.Close()
			if s, err = Open(ctx, options); err != nil {
				return fmt.Errorf("a new stage: %w", err)
			}
		}
	}
	return ctx.Err()
}
