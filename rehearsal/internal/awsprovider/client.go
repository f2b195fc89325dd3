package awsprovider

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"expense/rehearsal/internal/awsmodel"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Client asks AWS as the provider does: it repeats requests that AWS may answer otherwise later, and puts its words before AWS's, such
// as "creating EKS Cluster (expense): operation error EKS: CreateCluster, ...".
type Client struct{ Model *awsmodel.Model }

// Create makes a resource. If it was made and did not come up, id and outputs are given together with the error.
func (c Client) Create(ctx context.Context, typ, name string, inputs resource.PropertyMap) (string, resource.PropertyMap, error) {
	var id string
	var outputs resource.PropertyMap
	var late error
	err := c.ask(ctx, habits[typ].repeats, true, func(ctx context.Context) (err error) {
		if id, outputs, err = c.Model.Create(ctx, typ, name, inputs); id != "" {
			late, err = err, nil
		}
		return err
	})
	if late != nil {
		return id, outputs, fmt.Errorf("waiting for %s (%s) create: %w", habits[typ].noun, id, late)
	}
	return id, outputs, worded("creating", typ, name, err)
}

// Update changes a resource in place. It asks AWS for nothing where nothing differs. A change that replaces is an error: the engine
// must not ask for it.
func (c Client) Update(ctx context.Context, typ, id string, news resource.PropertyMap) (outputs resource.PropertyMap, err error) {
	if olds, outputs, found := c.Model.Read(typ, id); found {
		changes, replace := Diff(typ, olds, news)
		switch {
		case replace:
			return nil, worded("updating", typ, id, fmt.Errorf("%v cannot be changed in place", slices.Sorted(maps.Keys(changes))))
		case len(changes) == 0:
			return outputs, nil
		}
	}
	err = c.ask(ctx, habits[typ].repeats, false, func(ctx context.Context) (err error) {
		outputs, err = c.Model.Update(ctx, typ, id, news)
		return err
	})
	return outputs, worded("updating", typ, id, err)
}

// Delete removes a resource. For 5 to 20 minutes the provider asks again after a DependencyViolation; here nothing would change
// meanwhile.
func (c Client) Delete(ctx context.Context, typ, id string) error {
	return worded("deleting", typ, id, c.ask(ctx, nil, false, func(ctx context.Context) error { return c.Model.Delete(ctx, typ, id) }))
}

func worded(verb, typ, what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s (%s): %w", verb, habits[typ].noun, what, err)
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

// ask sends a request until its answer is final. The SDK in the provider repeats an answer that it takes for throttling, whatever
// it means: LimitExceededException is on its list, so a quota or a limit shows only after maxAttempts. The provider itself repeats
// what it takes for a delay of AWS. Nothing else is repeated, and neither says anything meanwhile.
func (c Client) ask(ctx context.Context, repeats []repeat, creating bool, send func(context.Context) error) error {
	ctx = c.Model.Begin(ctx)
	first := c.Model.Asked(ctx)
	pause := 500 * time.Millisecond // helper/retry of terraform-plugin-sdk: doubled each time, up to ten seconds
	for attempt := 1; ; {
		err := send(ctx)
		var api *awsmodel.APIError
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
			i := slices.IndexFunc(repeats, func(r repeat) bool {
				return (creating || !r.creating) && r.code == api.Code && (r.operation == "" || r.operation == api.Operation) &&
					strings.Contains(api.Message, r.text)
			})
			if i < 0 || c.Model.Asked(ctx)-first >= repeats[i].patience {
				return err
			}
			delay, pause = pause, min(2*pause, 10*time.Second)
		}
		ctx = c.Model.Pause(ctx, delay)
		if ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
	}
}
