package awsmodel

import (
	"context"
	"fmt"
	"strings"
)

// Rules of AWS KMS.

func kmsRows() rows {
	return of("KMS", rows{
		tKey: {
			ops: "CreateKey PutKeyPolicy ScheduleKeyDeletion", keeps: "description",
			id: func(m *Model, o *object) string { return m.uuid(o.typ) }, arn: "kms|key/{id}", tagged: true,
			defaults: map[string]any{"enableKeyRotation": false, "description": ""}, times: took(8*seconds, 8*seconds, 1*seconds),
			fill: fillKey, after: keyUp, gone: keyGone,
		},
		tAlias: {
			ops: "CreateAlias UpdateAlias DeleteAlias", required: "targetKeyId", name: named, arn: "kms|{name}",
			takenCode: "AlreadyExistsException", takenText: "An alias with the name %s already exists", times: instant,
			create: createAlias, fill: fillAlias, update: again(createAlias),
		},
	})
}

func fillKey(m *Model, o *object) {
	o.out.setDefault("keyId", o.id)
	o.out.setDefault("policy",
		fmt.Sprintf(`{"Id":"key-default-1","Statement":[{"Action":"kms:*","Effect":"Allow","Principal":`+
			`{"AWS":"arn:%s:iam::%s:root"},"Resource":"*","Sid":"Enable IAM User Permissions"}],`+
			`"Version":"2012-10-17"}`, m.Partition(), m.opts.Account))
}

// keyUp enables rotation, which is a request of its own, right after the key was made.
func keyUp(_ context.Context, m *Model, o *object) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !o.out.flag("enableKeyRotation", false) || m.tagsCount(o, o) {
		return nil
	}
	o.out.set("enableKeyRotation", false)
	return &APIError{Service: "KMS", Operation: "EnableKeyRotation", Status: 400, Code: "AccessDeniedException", Message: fmt.Sprintf(
		"User: %s is not authorized to perform: kms:EnableKeyRotation on resource: %s because no identity-based policy allows the "+
			"kms:EnableKeyRotation action", m.Caller(), o.arn())}
}

// tagsCount tells whether the caller's permissions know the tags of a key already when o is asked for.
func (m *Model) tagsCount(key, o *object) bool {
	return m.opts.KeyTagDelay == 0 || m.spread(o, key.made, m.opts.KeyTagDelay)
}

func keyGone(_ *Model, o *object) bool {
	days := o.in.num("deletionWindowInDays")
	if days == 0 {
		days = 30
	}
	o.status, o.kept = pending, fmt.Sprintf("KMS deletes a key only after a waiting time, here %v days; it is unusable and free of "+
		"charge until then", days)
	return true
}

// usableKey finds a key by ID or ARN.
func (m *Model) usableKey(ref string) *object {
	k := m.objects[tKey][ref[strings.LastIndex(ref, "/")+1:]]
	if k == nil || k.status == pending {
		return nil
	}
	return k
}

func createAlias(m *Model, o *object) error {
	if m.usableKey(o.in.str("targetKeyId")) == nil {
		return refuse("NotFoundException", "Key '%s' does not exist", o.in.str("targetKeyId"))
	}
	return nil
}

func fillAlias(m *Model, o *object) {
	if k := m.usableKey(o.in.str("targetKeyId")); k != nil {
		o.out.set("targetKeyArn", k.arn())
	}
}
