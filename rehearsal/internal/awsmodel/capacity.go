package awsmodel

import (
	"context"
	"errors"
	"fmt"
)

// SetSpotCapacity says whether EC2 has spot nodes to give in zones, by ID. A new account has them everywhere. Nodes that
// run are not touched.
func (m *Model) SetSpotCapacity(has bool, zoneIDs ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range zoneIDs {
		m.noSpot[id] = !has
	}
}

// Reclaim takes spot instances back with notice: EKS starts their successors, where there is capacity, and drains the old
// nodes, which has two minutes on AWS (https://docs.aws.amazon.com/eks/latest/userguide/managed-node-groups.html, "Managed
// node group capacity types"). AWS does not promise that the successor is Ready before the drain begins; here it is.
func (m *Model) Reclaim(ctx context.Context, ids ...string) error {
	if err := m.doom(ids); err != nil {
		return err
	}
	return m.Refill(ctx)
}

// Lose takes instances away without notice, as a zone that fails does: nothing is drained, and nothing comes back before
// Refill.
func (m *Model) Lose(ctx context.Context, ids ...string) error {
	if err := m.doom(ids); err != nil {
		return err
	}
	m.mu.Lock()
	var list []*object
	for _, id := range ids {
		list = append(list, m.objects[tInstance][id])
	}
	m.mu.Unlock()
	if hook := m.opts.Cluster; hook != nil {
		if err := hook.LoseNodes(ctx, nodesOf(list)); err != nil {
			return err
		}
	}
	m.terminated(list)
	return nil
}

// Refill starts what node groups lack, where there is capacity, and spreads them over their zones again, as Auto Scaling
// groups try all the time.
func (m *Model) Refill(ctx context.Context) error {
	m.mu.Lock()
	groups := m.all(tNodeGroup)
	for _, group := range groups {
		m.resize(group)
		m.rebalance(group)
	}
	m.mu.Unlock()
	var errs []error
	for _, group := range groups {
		errs = append(errs, syncNodes(ctx, m, group))
	}
	return errors.Join(errs...)
}

func (m *Model) doom(ids []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		i := m.objects[tInstance][id]
		if i == nil {
			return fmt.Errorf("the account has no instance %s", id)
		}
		i.doomed = true
	}
	return nil
}
