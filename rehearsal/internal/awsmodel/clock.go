package awsmodel

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

// The account's clock. It is AWS's time, whatever Scale makes of it, and begins when the account is made.
//
// With Scale 0 nobody waits, so the order in which operations end says nothing about how long ago something was made:
// the engine has many under way at once. So the clock gives the benefit of the doubt. What is made counts as begun with
// the command that makes it, and who asks for something counts as doing so after everything that has ended so far. A
// caller that knows better says so with After. Only what follows within seconds in any order is then too early.

// How long something new takes until the services that are asked about it know it. IAM: "changes that I make are not
// always immediately visible" (https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html), without a number.
const (
	// roleSpread is what helped people whose domain policy named a new user or role: hashicorp/terraform#6438 ("sleep 20
	// ... now works everytime"), cloudposse/terraform-aws-elasticsearch#57. That it is the same for EKS, KMS, SNS and IAM
	// itself is an assumption: their answers are published, their delays are not.
	roleSpread = 20 * time.Second
	// logPolicySpread: three repositories made in between help (aws-cloudformation/cloudformation-coverage-roadmap#1769);
	// the number is an assumption, and the OpenSearch guide's troubleshooting says "wait several minutes".
	logPolicySpread = 20 * time.Second
	// linkedRoleSpread: people help themselves with pauses of 10 to 60 seconds (pulumi/pulumi-aws#2349).
	linkedRoleSpread = time.Minute
)

type afterKey struct{}

// After says when an operation begins, on the account's clock: what it depends on was done then. It counts where Scale
// is 0.
func After(ctx context.Context, t time.Duration) context.Context {
	return context.WithValue(ctx, afterKey{}, t)
}

// Done is when the thing was ready or last changed, on the account's clock; 0 for one that is not there.
func (m *Model) Done(typ, id string) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if o := m.objects[typ][id]; o != nil {
		return o.changed
	}
	return 0
}

// Now is the time on the account's clock: with Scale 0 the end of the operation that ended last.
func (m *Model) Now() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now()
}

// Pass lets time pass in which nobody asks the account for anything, as it does between two commands.
func (m *Model) Pass(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.opened = m.opened.Add(-m.Scaled(d))
	m.clock += d
	m.session = m.clock
}

// Below: all but sleep, request and wait want the lock held.

func (m *Model) now() time.Duration {
	if m.opts.Scale > 0 {
		return time.Duration(float64(time.Since(m.opened)) / m.opts.Scale)
	}
	return m.clock
}

// arrive notes when an operation begins and when it asks.
func (m *Model) arrive(ctx context.Context, o *object) {
	o.began, o.asked = m.now(), m.now()
	if m.opts.Scale > 0 {
		return
	}
	o.began = m.session
	if t, told := ctx.Value(afterKey{}).(time.Duration); told {
		o.began, o.asked = t, t
	}
}

// finish notes that an operation of the given typical duration is done.
func (m *Model) finish(o *object, d time.Duration) {
	o.changed = m.now()
	if m.opts.Scale == 0 {
		o.changed = o.began + d
		m.clock = max(m.clock, o.changed)
	}
}

// spread tells whether something that was made or changed at a time is known everywhere when o is asked for.
func (m *Model) spread(o *object, since, takes time.Duration) bool {
	return m.opts.KnownAtOnce || o.asked-since >= takes
}

// maxAttempts are those of a request: the default of the provider's max_retries
// (hashicorp/terraform-provider-aws website/docs/index.html.markdown).
const maxAttempts = 25

// backOff is how long the provider pauses after an attempt that was throttled, in the middle of its range: the SDK's own
// back-off, of 20 seconds at most, is replaced by that of the SDK's first version, 0.5 to 1 s times 2^attempt, and 2.5 to
// 5 minutes from where that is more than 5 (hashicorp/terraform-provider-aws internal/conns/config.go, maxBackoff, and
// v1CompatibleBackoff beside it). 24 pauses are 66 minutes; reported are more than an hour
// (hashicorp/terraform-provider-aws#39136).
func backOff(attempt int) time.Duration {
	if d := 750 * time.Millisecond << attempt; d <= 5*time.Minute {
		return d
	}
	return 225 * time.Second
}

// again is an answer that the provider takes for a delay of IAM, and so repeats its request.
type again struct {
	// code and text are the answer's, text in part; empty for any.
	code, text string
	// patience is how long it does so.
	patience time.Duration
	// creating says that it does so only when it creates.
	creating bool
}

// request sends a request as the provider does. The SDK in it repeats an answer that it takes for throttling, whatever
// it means: LimitExceededException is on its list, so a quota or a limit shows only after maxAttempts. The provider
// itself repeats what row.repeats says, unless the answer is to another request than the row's. Nothing else is repeated,
// and neither says anything meanwhile.
func (m *Model) request(ctx context.Context, r *row, o *object, creating bool, send func() error) error {
	m.mu.Lock()
	m.arrive(ctx, o)
	first := o.asked
	m.mu.Unlock()
	pause := 500 * time.Millisecond // helper/retry of terraform-plugin-sdk: doubled each time, up to ten seconds
	for attempt := 1; ; {
		m.mu.Lock()
		err := send()
		m.mu.Unlock()
		var api *APIError
		if !errors.As(err, &api) {
			return err
		}
		var delay time.Duration
		if _, throttled := retry.DefaultThrottleErrorCodes[api.Code]; throttled {
			if attempt == maxAttempts {
				gaveUp := *api
				gaveUp.Attempts = attempt
				return &gaveUp
			}
			delay = backOff(attempt)
			attempt++
		} else {
			i := slices.IndexFunc(r.repeats, func(a again) bool {
				return api.Operation == "" && (creating || !a.creating) && (a.code == "" || a.code == api.Code) && strings.Contains(api.Message, a.text)
			})
			if i < 0 || o.asked-first >= r.repeats[i].patience {
				return err
			}
			delay, pause = pause, min(2*pause, 10*time.Second)
		}
		if werr := m.pause(ctx, o, delay); werr != nil {
			return errors.Join(err, werr)
		}
	}
}

// pause is the time between two requests for one thing.
func (m *Model) pause(ctx context.Context, o *object, d time.Duration) error {
	err := m.wait(ctx, d)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.opts.Scale > 0 {
		o.asked = m.now()
	} else if err == nil {
		o.began, o.asked = o.began+d, o.asked+d
		m.clock = max(m.clock, o.asked)
	}
	return err
}

// Scaled gives how long something lasts here that lasts d in AWS.
func (m *Model) Scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) * m.opts.Scale)
}

// wait sleeps for a scaled duration; it must be called without the lock.
func (m *Model) wait(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d = m.Scaled(d); d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
