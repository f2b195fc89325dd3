package awsmodel

import (
	"context"
	"time"
)

// The account's clock shows AWS's time. Nobody waits here, so the order in which operations end says nothing about how long ago
// something was made: the engine has many under way at once. So the clock gives the benefit of the doubt. What is made counts as
// begun with the command that makes it, and a request counts as sent after everything that has ended so far. A caller that knows
// better says so with After. Only what follows within seconds in any order is then too early.

// How long something new takes until the services that are asked about it know it. IAM: "changes that I make are not
// always immediately visible" (https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html), without a number.
const (
	// roleSpread is the wait that helped people whose domain policy named a new user or role: hashicorp/terraform#6438 ("sleep 20
	// ... now works everytime"), cloudposse/terraform-aws-elasticsearch#57. For EKS, KMS, SNS and IAM it is an assumption: their
	// answers are published, their delays are not.
	roleSpread = 20 * time.Second
	// logPolicySpread: three repositories made in between help (aws-cloudformation/cloudformation-coverage-roadmap#1769);
	// the number is an assumption, and the OpenSearch guide's troubleshooting says "wait several minutes".
	logPolicySpread = 20 * time.Second
	// linkedRoleSpread: people help themselves with pauses of 10 to 60 seconds (pulumi/pulumi-aws#2349).
	linkedRoleSpread = time.Minute
)

// moment is when an operation began, and when its request is sent.
type moment struct{ began, asked time.Duration }

type momentKey struct{}

// After says when an operation begins, on the account's clock: what it depends on was done then.
func After(ctx context.Context, t time.Duration) context.Context {
	return context.WithValue(ctx, momentKey{}, moment{t, t})
}

// Begin says that an operation of one or more requests begins now.
func (m *Model) Begin(ctx context.Context) context.Context {
	m.mu.Lock()
	defer m.mu.Unlock()
	return context.WithValue(ctx, momentKey{}, m.moment(ctx))
}

// Asked is when a request with this context is sent, on the account's clock.
func (m *Model) Asked(ctx context.Context) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.moment(ctx).asked
}

// Pause lets the time between two requests of an operation pass, and gives the context of the next.
func (m *Model) Pause(ctx context.Context, d time.Duration) context.Context {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.moment(ctx)
	at.began, at.asked = at.began+d, at.asked+d
	m.clock = max(m.clock, at.asked)
	return context.WithValue(ctx, momentKey{}, at)
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

// Now is the time on the account's clock, the end of the operation that ended last.
func (m *Model) Now() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.clock
}

// Pass lets time pass without requests, as between two commands.
func (m *Model) Pass(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.clock += d
	m.session = m.clock
}

// Below: all but request want the lock held.

func (m *Model) moment(ctx context.Context) moment {
	if told, is := ctx.Value(momentKey{}).(moment); is {
		return told
	}
	return moment{m.session, m.clock}
}

// finish notes that an operation of the given typical duration is done.
func (m *Model) finish(o *object, d time.Duration) {
	o.changed = o.began + d
	m.clock = max(m.clock, o.changed)
}

// spread tells whether a thing that was made or changed at a time is known everywhere at the request for o.
func (m *Model) spread(o *object, since, takes time.Duration) bool {
	return o.asked-since >= takes
}

// request is one request for a thing.
func (m *Model) request(ctx context.Context, r *row, operation string, o *object, rules func() error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.moment(ctx)
	o.began, o.asked = at.began, at.asked
	return r.named(operation, rules())
}
