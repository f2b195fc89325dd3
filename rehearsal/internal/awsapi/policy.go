package awsapi

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// PagePolicy reads the actions of an IAM policy in a page: the JSON block with the only statement of the given Sid, which
// allows them and nothing else.
func PagePolicy(page, sid string) ([]string, error) {
	data, err := os.ReadFile(page)
	if err != nil {
		return nil, err
	}
	blocks := strings.Split(string(data), "```json\n")
	for _, block := range blocks[1:] {
		text, _, _ := strings.Cut(block, "```")
		var policy struct {
			Version   string
			Statement []struct {
				Sid, Effect, Resource string
				Action                []string
			}
		}
		if err := json.Unmarshal([]byte(text), &policy); err != nil {
			return nil, fmt.Errorf("%s: %w", page, err)
		}
		if len(policy.Statement) != 1 || policy.Statement[0].Sid != sid {
			continue
		}
		s := policy.Statement[0]
		if policy.Version != "2012-10-17" || s.Effect != "Allow" || s.Resource != "*" || !slices.IsSorted(s.Action) {
			return nil, fmt.Errorf("%s: policy %s must be of version 2012-10-17 and allow sorted actions on *", page, sid)
		}
		return s.Action, nil
	}
	return nil, fmt.Errorf("%s has no policy %s", page, sid)
}
