package leftovers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"expense/internal/config"
)

// errInUse is what waits for the removal of something else.
var errInUse = refusal("still in use")

// Remove takes away what is marked as left over in a report, and only what a new look right before, with the state given
// now, marks so again. It says each removal, and returns what is there afterwards.
func Remove(ctx context.Context, options Options, report *Report) (*Report, error) {
	f, err := newFinder(ctx, options)
	if err != nil {
		return nil, err
	}
	if f.State == nil {
		return nil, errors.New("without the stack's state nothing is removed: nothing tells what is owned from what is left over")
	}
	f.look(ctx)
	for _, k := range kinds {
		var items []Item
		for _, i := range report.Of(Leftover) {
			if i.Kind == k.name {
				items = append(items, i)
			}
		}
		if len(items) > 0 && k.remove != nil {
			f.removeKind(ctx, k, items)
		}
	}
	return Find(ctx, options)
}

// removeKind removes the things of one kind, and looks for them until they are gone or AWS has had its time.
func (f *finder) removeKind(ctx context.Context, k kind, left []Item) {
	begun, busy := map[string]bool{}, map[string]error{}
	for round := 0; ; round++ {
		if round > 1 && !f.pause(ctx) {
			return
		}
		there, err := f.again(ctx, k, left)
		if err == nil && round == 0 && k.prepare != nil {
			err = k.prepare(ctx, f, there)
		}
		if err != nil {
			f.Say(fmt.Sprintf("%s: %s", k.name, explain(err, f.Stack.Account)))
			return
		}
		for _, i := range left {
			switch {
			case slices.ContainsFunc(there, func(t Item) bool { return t.ID == i.ID }):
			case begun[i.ID]:
				f.Say(fmt.Sprintf("%s %s is removed", k.name, i.ID))
			default:
				f.Say(fmt.Sprintf("%s %s went with something else, or is no longer left over", k.name, i.ID))
			}
		}
		if left = there; len(left) == 0 {
			return
		}
		if round > k.rounds() {
			for _, i := range left {
				f.Say(fmt.Sprintf("%s %s is still there: %s", k.name, i.ID, reason(busy[i.ID], f.Stack.Account)))
			}
			return
		}
		left = slices.DeleteFunc(left, func(i Item) bool {
			if begun[i.ID] {
				return false
			}
			err := k.remove(ctx, f, i)
			if inUse(err) {
				busy[i.ID] = err
				return false
			}
			if begun[i.ID] = err == nil || missing(err); !begun[i.ID] {
				f.Say(fmt.Sprintf("%s %s stays: %s", k.name, i.ID, explain(err, f.Stack.Account)))
			}
			return !begun[i.ID]
		})
	}
}

// rounds is how often a kind is looked for until AWS has had its time. Things may wait as long for what uses them: AWS takes
// network interfaces of load balancers and clusters away some minutes after these.
func (k kind) rounds() int { return int(max(k.settle, 10*time.Minute) / every) }

func reason(busy error, account config.Account) string {
	if busy == nil {
		return "AWS has not finished"
	}
	return explain(busy, account)
}

// again lists those of some items that are still there and still left over.
func (f *finder) again(ctx context.Context, k kind, items []Item) ([]Item, error) {
	now, err := k.find(ctx, f)
	if err != nil {
		return nil, err
	}
	f.mark(now)
	return slices.DeleteFunc(now, func(n Item) bool {
		return n.Mark != Leftover || !slices.ContainsFunc(items, func(i Item) bool { return i.ID == n.ID })
	}), nil
}

// busyCodes are what AWS answers for as long as something that is on its way out still uses the thing.
var busyCodes = []string{"DependencyViolation", "InvalidIPAddress.InUse", "InvalidNetworkInterface.InUse", "InvalidParameterValue", "ResourceInUse",
	"ResourceInUseException", "ResourceInUseFault", "VolumeInUse"}

func inUse(err error) bool {
	return errors.Is(err, errInUse) || slices.Contains(busyCodes, code(err))
}

// pause waits for the next look; false ends the waiting.
func (f *finder) pause(ctx context.Context) bool {
	timer := time.NewTimer(f.Every)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
