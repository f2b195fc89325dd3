package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"expense/rehearsal/ops/leftovers"
	"expense/rehearsal/ops/record"
	"expense/rehearsal/ops/verify"
)

// verified has the reports of the last run.
var verified = filepath.Join(written, "verify")

// verifyCommand checks a stack that is up: the one that a rehearsal left up, or else the one in an account. It ends with 0, with 1 if a
// check failed or nothing could be checked, and with 3 if a check did not see what it looks for.
func verifyCommand(ctx context.Context, project string, args []string) (code int, err error) {
	flags := flag.NewFlagSet("verify", flag.ExitOnError)
	stack := flags.String("stack", "dev", "stack to check")
	touch := flags.Bool("touch", false, "run the checks that touch the stack too")
	breaks := flags.Bool("break", false, "run the checks that touch and those that break too")
	only := flags.String("only", "", "names of the checks to run, with commas between them")
	unrecorded := flags.Bool("no-record", false, "write no record of what AWS answered")
	list := flags.Bool("list", false, "print each check with what it disturbs, makes and needs")
	_ = flags.Parse(args) // ends the process
	options := verify.Options{}
	switch {
	case *breaks:
		options.Level = verify.Breaks
	case *touch:
		options.Level = verify.Touches
	}
	if *only != "" {
		options.Only = strings.Split(*only, ",")
	}
	if err := verify.Known(options.Only); err != nil {
		return 1, err
	}
	if *list {
		page := verify.List(verify.Checks())
		_, err := fmt.Print(page.Text())
		return 0, err
	}
	pid, up, err := running(project)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		// Not the account in its place, which nobody asked for.
		return 1, fmt.Errorf("the rehearsal that was left up has died: %w; remove %s", err, filepath.Join(rehearsals, "pid"))
	}
	if pid != 0 && up == *stack {
		if code, err = ask(ctx, options, os.Stdout); ctx.Err() != nil {
			return 130, errors.New("interrupted; the rehearsal takes away what a check had made")
		}
		return code, err
	}
	s, err := connect(ctx, project, *stack, os.Stdout)
	if err != nil {
		return 1, err
	}
	code, err = check(ctx, project, s, options, os.Stdout)
	if err == nil && ctx.Err() == nil && len(options.Only) == 0 && !*unrecorded {
		alsoRecord(ctx, newRecording(project, *stack))
	}
	if ctx.Err() != nil && err == nil && code != 1 { // with 1 the report says what went wrong
		return 130, errors.New("interrupted; what a check had made is taken away")
	}
	return code, err
}

// alsoRecord writes the record of a stack in an account after its checks. What differs there is no check that failed.
func alsoRecord(ctx context.Context, r recording) {
	fmt.Fprintln(r.out)
	if _, err := os.Stat(filepath.Join(toolsOf(r.project), "kubernetes")); err != nil {
		fmt.Fprintln(r.out, "No record of what AWS answered: its other side is a rehearsal, for which `make tools` builds what is missing.")
		return
	}
	aws, account, err := r.inAccount(ctx)
	if err == nil {
		_, err = r.against(ctx, aws, account)
	}
	if err != nil {
		fmt.Fprintf(r.out, "record: %v\n", err)
	}
}

// connect gives the stack in the account that its file names.
func connect(ctx context.Context, project, name string, out io.Writer) (*verify.Stack, error) {
	settings, err := leftovers.Settings(project, name)
	if err != nil {
		return nil, err
	}
	cfg, err := signIn(ctx, settings)
	if err != nil {
		return nil, err
	}
	export, err := leftovers.Export(ctx, project, name)
	if err != nil {
		return nil, err
	}
	return verify.Connect(ctx, project, name, cfg, export, out)
}

// check runs the checks, tells of each as it ends, and writes the reports.
func check(ctx context.Context, project string, s *verify.Stack, options verify.Options, out io.Writer) (code int, err error) {
	fmt.Fprintf(out, "Checks stack %s, %s.\n\n", s.Name, s.Target)
	options.Each = func(c verify.Check, r *verify.Result) {
		switch {
		case r != nil:
			fmt.Fprintf(out, "%-9s %-21s %.1f s\n", r.Verdict, r.Name, r.Took.Seconds())
		case c.Level > verify.Reads && options.Level >= c.Level:
			fmt.Fprintf(out, "%-9s %-21s disturbs: %s; makes: %s; about %s\n", "begins", c.Name, cmp.Or(c.Disturbs, "nothing"),
				cmp.Or(c.Makes, "nothing"), c.Takes)
		}
	}
	report := verify.Run(ctx, s, verify.Checks(), options)
	if err := writeReports(project, report); err != nil {
		return 1, err
	}
	page := report.Page()
	if _, err := fmt.Fprintf(out, "\n%s\nReport: %s\n", page.Text(), filepath.Join(verified, "report.html")); err != nil {
		return 1, err
	}
	return report.Code(), nil
}

func writeReports(project string, report verify.Report) error {
	page := report.Page()
	html, err1 := page.HTML("Stack " + report.Stack + " verified")
	data, err2 := report.JSON()
	junit, err3 := report.JUnit()
	if err := errors.Join(err1, err2, err3, os.MkdirAll(filepath.Join(project, verified), 0o700)); err != nil {
		return err
	}
	var errs []error
	for name, content := range map[string][]byte{"report.html": html, "verify.json": data, "junit.xml": junit} {
		errs = append(errs, os.WriteFile(filepath.Join(project, verified, name), content, 0o600))
	}
	return errors.Join(errs...)
}

// exitCode is the trailer of an answer: the exit code of the command.
const exitCode = "Exit-Code"

// socket is where the rehearsal that is left up answers. The path is relative: a socket's path may have about 100 characters (man 7 unix),
// and every command runs in the project's folder.
var socket = filepath.Join(rehearsals, "socket")

// answer runs what ask asks for, on the stack that is left up.
func answer(project string, target func(context.Context) (*verify.Stack, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", exitCode)
		out := flushed{w, http.NewResponseController(w)}
		level, err := strconv.Atoi(r.URL.Query().Get("level"))
		code := 1
		var s *verify.Stack
		if err == nil {
			s, err = target(r.Context())
		}
		if err == nil {
			s.Out = out
			only := r.URL.Query()["only"]
			code, err = check(r.Context(), project, s, verify.Options{Level: verify.Level(level), Only: only}, out)
			if err == nil && len(only) == 0 {
				err = recordItself(r.Context(), project, s, out)
			}
		}
		if err != nil {
			fmt.Fprintf(out, "verify: %v\n", err)
			code = max(code, 1)
		}
		w.Header().Set(exitCode, strconv.Itoa(code))
	})
}

// recordItself records a rehearsal against itself, which shows that each call is made and read, and nothing about AWS.
func recordItself(ctx context.Context, project string, s *verify.Stack, out io.Writer) error {
	side := record.Side{AWS: s.AWS, State: s.State, Settings: s.Settings, Project: project}
	r := newRecording(project, s.Name)
	r.out = out
	r.rehearse = func(context.Context, string, string, string) (record.Side, func(), error) {
		return side, func() {}, nil
	}
	fmt.Fprintln(out)
	_, err := r.against(ctx, nil, "")
	return err
}

// flushed shows at once what is written.
type flushed struct {
	io.Writer
	*http.ResponseController
}

func (f flushed) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	return n, errors.Join(err, f.Flush())
}

// ask has the rehearsal that is left up run the checks: it has the model of AWS that the stack is in.
func ask(ctx context.Context, options verify.Options, out io.Writer) (code int, err error) {
	query := url.Values{"level": {strconv.Itoa(int(options.Level))}, "only": options.Only}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://rehearsal/?"+query.Encode(), nil)
	if err != nil {
		return 1, err
	}
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	response, err := client.Do(request)
	if err != nil {
		return 1, fmt.Errorf("the rehearsal that is left up does not answer: %w; end it with `make rehearse-down`", err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(out, response.Body); err != nil {
		return 1, err
	}
	return strconv.Atoi(response.Trailer.Get(exitCode))
}
