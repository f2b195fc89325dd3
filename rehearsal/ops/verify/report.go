package verify

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strings"
	"time"

	"expense/rehearsal/internal/page"
)

// Report is one run.
type Report struct {
	Stack, Target string
	Began, Ended  time.Time
	Results       []Result
}

// Count is how many results have a verdict.
func (r Report) Count(v Verdict) (n int) {
	for _, result := range r.Results {
		if result.Verdict == v {
			n++
		}
	}
	return n
}

// Code is the exit code: 1 if a check failed, 3 if one did not see or none was made, else 0. A check whose level was not asked for changes
// nothing.
func (r Report) Code() int {
	switch {
	case r.Count(Failed) > 0:
		return 1
	case r.Count(Unseen) > 0 || r.Count(OK) == 0:
		return 3
	}
	return 0
}

// Page is the run: what failed with all that is known of it, and a table of the checks.
func (r Report) Page() (out page.Page) {
	for _, result := range r.Results {
		if result.Verdict == Failed {
			out.Heading("FAILED: %s: %s", result.Name, result.Promise)
			out.Code("", result.Seen+"\n"+result.Shown)
		}
	}
	out.Heading("Stack %s, %s", r.Stack, r.Target)
	var rows [][]string
	for _, result := range r.Results {
		rows = append(rows, []string{
			result.Name, string(result.Verdict), fmt.Sprintf("%.1f", result.Took.Seconds()), page.Short(result.Seen, 300),
		})
	}
	out.Table([]page.Column{{Name: "check"}, {Name: "verdict"}, {Name: "seconds", Number: true}, {Name: "what was seen"}}, rows)
	out.Say("%s", r.Summary())
	return out
}

// Summary is one line.
func (r Report) Summary() string {
	return fmt.Sprintf("%d ok, %d failed, %d not seen, %d skipped.", r.Count(OK), r.Count(Failed), r.Count(Unseen), r.Count(Skipped))
}

// JSON is the run for programs.
func (r Report) JSON() ([]byte, error) {
	type check struct {
		Name    string  `json:"name"`
		Level   string  `json:"level"`
		Promise string  `json:"promise"`
		Verdict Verdict `json:"verdict"`
		Seen    string  `json:"seen"`
		Shown   string  `json:"shown,omitempty"`
		Seconds float64 `json:"seconds"`
	}
	checks := []check{}
	for _, result := range r.Results {
		checks = append(checks, check{
			result.Name, result.Level.String(), result.Promise, result.Verdict, result.Seen, result.Shown, result.Took.Seconds(),
		})
	}
	return json.MarshalIndent(map[string]any{
		"stack": r.Stack, "target": r.Target, "began": r.Began, "ended": r.Ended, "checks": checks,
	}, "", "  ")
}

// JUnit is the run in the form that CI systems read. What was not seen is skipped there, with the reason.
func (r Report) JUnit() ([]byte, error) {
	type message struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
	type testcase struct {
		Class   string   `xml:"classname,attr"`
		Name    string   `xml:"name,attr"`
		Seconds string   `xml:"time,attr"`
		Failure *message `xml:"failure"`
		Skipped *message `xml:"skipped"`
		Out     string   `xml:"system-out,omitempty"`
	}
	suite := struct {
		XMLName  xml.Name   `xml:"testsuite"`
		Name     string     `xml:"name,attr"`
		Began    string     `xml:"timestamp,attr"`
		Seconds  string     `xml:"time,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Errors   int        `xml:"errors,attr"`
		Skipped  int        `xml:"skipped,attr"`
		Cases    []testcase `xml:"testcase"`
	}{
		Name: "verify " + r.Stack, Began: r.Began.Format("2006-01-02T15:04:05"), Seconds: seconds(r.Ended.Sub(r.Began)),
		Tests: len(r.Results), Failures: r.Count(Failed), Skipped: r.Count(Unseen) + r.Count(Skipped),
	}
	for _, result := range r.Results {
		c := testcase{Class: "verify." + result.Level.String(), Name: result.Name, Seconds: seconds(result.Took)}
		switch result.Verdict {
		case OK:
			c.Out = printable(result.Seen)
		case Failed:
			c.Failure = &message{printable(result.Promise), printable(result.Seen + "\n" + result.Shown)}
		default:
			c.Skipped = &message{Message: printable(fmt.Sprintf("%s: %s", result.Verdict, result.Seen))}
		}
		suite.Cases = append(suite.Cases, c)
	}
	data, err := xml.MarshalIndent(suite, "", "  ")
	return append([]byte(xml.Header), data...), err
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// printable leaves out what XML cannot hold.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' {
			return -1
		}
		return r
	}, text)
}

// List says of each check what it disturbs and makes, which rights it needs and how long it takes.
func List(checks []Check) (out page.Page) {
	var rows [][]string
	for _, c := range checks {
		does := []string{c.Promise}
		for _, part := range []struct{ what, text string }{
			{"disturbs", c.Disturbs}, {"makes", c.Makes}, {"AWS", strings.Join(c.Actions, ", ")}, {"Kubernetes", strings.Join(c.Access, ", ")},
		} {
			if part.text != "" {
				does = append(does, part.what+": "+part.text)
			}
		}
		rows = append(rows, []string{c.Name, c.Level.String(), c.Takes.String(), strings.Join(does, "\n")})
	}
	out.Say("A run that touches holds a lease and sweeps. It also needs in Kubernetes: %s. A failure is shown with what needs: %s.",
		strings.Join(LeaseAccess, ", "), strings.Join(ShowAccess, ", "))
	out.Table([]page.Column{{Name: "check"}, {Name: "level"}, {Name: "takes", Number: true}, {Name: "what it does", Below: true}}, rows)
	return out
}
