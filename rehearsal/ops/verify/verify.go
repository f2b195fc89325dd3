// Package verify checks a stack that is up, the rehearsal's as well as one that `pulumi up` made in an account. It takes everything from
// the stack's settings, state and outputs.
//
// Nobody has run it in an account yet: the tests run it against the rehearsal and against real parts.
package verify

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"expense/rehearsal/ops/login"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// Level is what a check does to the stack.
type Level int

// The levels, each with those before it.
const (
	// Reads changes nothing. A dry run reads.
	Reads Level = iota
	// Touches disturbs what comes back by itself, and makes what is taken away again.
	Touches
	// Breaks takes a node away.
	Breaks
)

func (l Level) String() string { return [...]string{"reads", "touches", "breaks"}[l] }

// Check is one promise of the program.
type Check struct {
	// Name stays the same for good: reports, the command line and issues use it.
	Name  string
	Level Level
	// Promise is what holds in a stack as it should be, one sentence.
	Promise string
	// Disturbs and Makes say what the check does to the stack and what it makes there for its time. Both are empty for Reads.
	Disturbs, Makes string
	// Actions are the IAM actions that it needs, Access what it needs of the Kubernetes API as "verb resource": "create pods/eviction".
	Actions, Access []string
	// Needs are the abilities of the target without which it sees nothing.
	Needs []Ability
	// Takes is about how long it takes in an account.
	Takes time.Duration
	// Run gives what was seen. An error is a failure, unless NotSeen made it or it is a refusal for the want of a right.
	Run func(ctx context.Context, s *Stack, w *Work) (seen string, err error)
}

// Ability is what an account can do and a rehearsal may not.
type Ability string

// The abilities that checks need.
const (
	// Containers run the programs of their images.
	Containers Ability = "containers run"
	// Insights are EKS's verdicts on a cluster.
	Insights Ability = "EKS insights"
	// Monitoring is what CloudWatch measures.
	Monitoring Ability = "CloudWatch metrics"
	// Webhooks are what EKS adds to pods as they are made.
	Webhooks Ability = "EKS's webhooks"
	// Images are pushed to the registry.
	Images Ability = "images are pushed"
)

// Verdict is how a check came out.
type Verdict string

// The verdicts. A check decides, or says that it did not see.
const (
	OK Verdict = "ok"
	// Failed is a promise that does not hold.
	Failed Verdict = "FAILED"
	// Unseen is a check without the right that it needs, or one that the target cannot show.
	Unseen Verdict = "not seen"
	// Skipped is a check whose level was not asked for, or that must not run after a failure.
	Skipped Verdict = "skipped"
)

// NotSeen is the error of a check that could not decide. Its text says why.
type NotSeen struct{ Reason string }

func (n *NotSeen) Error() string { return n.Reason }

// notSeen makes the error of a check that could not decide.
func notSeen(format string, args ...any) error { return &NotSeen{fmt.Sprintf(format, args...)} }

// denied are the codes with which AWS refuses a call for the want of a right
// (https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html, and each service's page of common errors).
var denied = []string{
	"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "NotAuthorized", "AuthorizationError",
	"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException",
	"Throttling", "ThrottlingException", "RequestLimitExceeded",
}

// unseen tells whether an error says nothing about the stack. A joined error does so if all of its parts do.
func unseen(err error) bool {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return !slices.ContainsFunc(joined.Unwrap(), func(part error) bool { return !unseen(part) })
	}
	if named := (*about)(nil); errors.As(err, &named) {
		return false
	}
	var reason *NotSeen
	return errors.As(err, &reason) || slices.Contains(denied, login.Code(err)) ||
		apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || errors.Is(err, context.Canceled) || unreached(err)
}

// unreached tells whether an API did not answer for now: the network, credentials that cannot be had, or a server that is busy or ill.
func unreached(err error) bool {
	var failed *url.Error
	return errors.As(err, &failed) || apierrors.IsTooManyRequests(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsTimeout(err) ||
		apierrors.IsServerTimeout(err) || apierrors.IsInternalError(err)
}

// Result is how one check came out.
type Result struct {
	Check
	Verdict Verdict
	// Seen is what was seen, or why nothing was; for a failure, the error.
	Seen string
	// Shown are events and last lines of the objects that a failure names.
	Shown string
	Took  time.Duration
}

// Options say what to run.
type Options struct {
	// Level is the highest to run.
	Level Level
	// Only are names of checks; none is all.
	Only []string
	// Each, if set, is called before a check runs and after it, then with the result.
	Each func(Check, *Result)
}

// Run runs the checks, those that only read first. After a failure nothing is touched any more. What a check makes is undone in reverse
// order when it ends, also when ctx does.
func Run(ctx context.Context, s *Stack, checks []Check, o Options) Report {
	report := Report{Stack: s.Name, Target: s.Target, Began: s.now()}
	w := newWork(s)
	chosen := slices.DeleteFunc(slices.Clone(checks), func(c Check) bool {
		return len(o.Only) > 0 && !slices.Contains(o.Only, c.Name)
	})
	slices.SortStableFunc(chosen, func(a, b Check) int { return int(a.Level - b.Level) })
	failed := ""
	var held error
	if slices.ContainsFunc(chosen, func(c Check) bool { return Reads < c.Level && c.Level <= o.Level }) {
		// Before the reads: what a dead run left may be what they find wrong.
		held = w.lock(ctx)
	}
	atEnd := map[int]func(context.Context) string{}
	for n, c := range chosen {
		r := Result{Check: c}
		missing := s.missing(c.Needs)
		if o.Each != nil {
			o.Each(c, nil)
		}
		switch {
		case c.Level > o.Level:
			word := map[Level]string{Touches: "TOUCH", Breaks: "BREAK"}[c.Level]
			r.Verdict, r.Seen = Skipped, fmt.Sprintf("it %s: %s=1 asks for it", c.Level, word)
		case ctx.Err() != nil:
			r.Verdict, r.Seen = Unseen, "interrupted"
		case missing != "":
			r.Verdict, r.Seen = Unseen, missing
		case c.Level > Reads && failed != "":
			r.Verdict, r.Seen = Skipped, "nothing is touched after "+failed+" failed"
		default:
			start := s.now()
			var seen string
			var err error
			if c.Level > Reads {
				err = held
			}
			if err == nil {
				seen, err = c.Run(ctx, s, w)
				err = errors.Join(err, w.undo(ctx))
			}
			atEnd[n], w.atEnd = w.atEnd, nil
			r.judge(ctx, s, seen, err)
			r.Took = s.now().Sub(start)
		}
		if r.Verdict == Failed {
			failed = c.Name
		}
		if o.Each != nil {
			o.Each(c, &r)
		}
		report.Results = append(report.Results, r)
	}
	for n, more := range atEnd {
		if more != nil && report.Results[n].Verdict == OK {
			report.Results[n].Seen += s.cover(more(ctx))
		}
	}
	if err := w.unlock(ctx); err != nil {
		report.Results = append(report.Results, Result{
			Check: Check{Name: "undone", Level: Touches, Promise: "what the run made is gone"}, Verdict: Failed, Seen: s.cover(err.Error()),
		})
	}
	report.Ended = s.now()
	return report
}

// judge decides a verdict.
func (r *Result) judge(ctx context.Context, s *Stack, seen string, err error) {
	switch {
	case err == nil:
		r.Verdict, r.Seen = OK, s.cover(seen)
	case unseen(err):
		r.Verdict, r.Seen = Unseen, s.cover(err.Error())
	default:
		r.Shown = s.show(ctx, err) // it learns what to cover
		r.Verdict, r.Seen = Failed, s.cover(err.Error())
	}
}
