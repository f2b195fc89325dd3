package record

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Inputs are a stack's settings with other names in the place of its own, so that they can be played again. What has nothing to do with
// AWS is left out, and so are all secrets.
func Inputs(project, account string, values map[string]string) (map[string]string, error) {
	p, err := readPublic(project)
	if err != nil {
		return nil, err
	}
	in := &inputs{public: p, account: account, names: map[string]string{}}
	out := map[string]string{"aws:region": values["aws:region"]}
	for _, section := range []string{"network", "cluster", "logging", "workloads"} {
		key := "expense:" + section
		var all map[string]any
		if values[key] == "" {
			continue
		}
		if err := json.Unmarshal([]byte(values[key]), &all); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		for _, name := range inCluster[section] {
			delete(all, name)
		}
		if section == "workloads" {
			keepApps(all)
		}
		data, err := json.Marshal(in.value(section, all))
		if err != nil {
			return nil, err
		}
		out[key] = string(data)
	}
	return out, nil
}

// inCluster are the settings of a section that do not reach AWS.
var inCluster = map[string][]string{
	"cluster": {"autoscaler"},
	"logging": {
		"image", "captureImage", "fields", "indexedFields", "dropLevels", "redact", "dashboards",
	},
	"workloads": {"images", "web", "quota", "volumeSizeGiB", "environment"},
}

// keepApps keeps of an app what makes repositories and roles.
func keepApps(workloads map[string]any) {
	apps, _ := workloads["apps"].(map[string]any)
	for name, app := range apps {
		all, _ := app.(map[string]any)
		kept := map[string]any{"user": 1000, "port": 8080, "logs": "none"}
		if all["build"] != nil {
			kept["build"] = map[string]any{"dir": "examples/backend"}
		}
		if all["image"] != nil {
			// An app without an image is left out, and its role with it.
			kept["image"] = playedImage
			if all["build"] != nil {
				delete(kept, "build")
			}
		}
		if all["iam"] != nil {
			kept["iam"] = all["iam"]
		}
		apps[name] = kept
	}
}

// ownNames are the settings that are names.
var ownNames = []string{
	"cluster.name", "cluster.registry.repositories", "logging.domain.name", "logging.dataStream", "workloads.namespace",
}

// inputs puts names in the place of names, always the same for the same.
type inputs struct {
	public  *public
	account string
	names   map[string]string
}

// playedAccount is the model's own account, playedImage stands for any image.
const (
	playedAccount = "111122223333"
	playedImage   = "public.ecr.aws/nginx/nginx@sha256:0000000000000000000000000000000000000000000000000000000000000000"
)

var (
	anARN   = regexp.MustCompile(`^(arn:[a-z-]+:[a-z0-9-]+:[a-z0-9-]*:)(\d{12})?:(.*)$`)
	aDigest = regexp.MustCompile(`@sha256:[0-9a-f]{64}$`)
	aZone   = regexp.MustCompile(`^[a-z]{3,5}\d-az\d$`)
	// urlWord is a part of a URL's host or path, but for a port.
	urlWord = regexp.MustCompile(`[A-Za-z][^/:.]*`)
)

func (in *inputs) value(path string, v any) any {
	switch v := v.(type) {
	case string:
		return in.text(path, v)
	case []any:
		out := make([]any, len(v))
		for i, each := range v {
			out[i] = in.value(path, each)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			out[in.own(name)] = in.value(path+"."+name, v[name])
		}
		return out
	}
	return v
}

func (in *inputs) text(path, text string) string {
	arn := anARN.FindStringSubmatch(text)
	prefix, unread := netip.ParsePrefix(text)
	switch {
	case strings.HasSuffix(path, ".actions") && anAction.MatchString(text), strings.HasSuffix(path, ".zones") && aZone.MatchString(text):
		return text
	case aDigest.MatchString(text):
		return playedImage
	case slices.Contains(ownNames, path):
		return in.own(text)
	case path == "network.cidr", path == "cluster.serviceCidr":
		if !in.public.texts[text] {
			_, bits, _ := strings.Cut(text, "/")
			return map[string]string{"network.cidr": "10.64.0.0/", "cluster.serviceCidr": "172.24.0.0/"}[path] + bits
		}
		return text
	case in.public.texts[text]:
		return text
	case unread == nil && prefix.Addr().Is6():
		return in.numbered(text, "2001:db8::%d/128") // RFC 3849
	case unread == nil:
		return in.numbered(text, "192.0.2.%d/32") // RFC 5737
	case path == "cluster.identityProvider.issuerUrl":
		return "https://" + urlWord.ReplaceAllStringFunc(strings.TrimPrefix(text, "https://"), in.name)
	case strings.Contains(text, "@"):
		return in.numbered(text, "masked%02d@example.com")
	case arn != nil:
		account := arn[2]
		if account == in.account {
			account = playedAccount
		} else if account != "" {
			account = in.numbered(account, "4444%08d")
		}
		return arn[1] + account + ":" + in.resource(arn[3])
	}
	return in.name(text)
}

// resource keeps the words of an ARN's last part that are public.
func (in *inputs) resource(text string) string {
	return regexp.MustCompile(`[^/:*]+`).ReplaceAllStringFunc(text, in.name)
}

// name is the name that stands for one that is not public.
func (in *inputs) name(text string) string {
	if known := in.names["masked%02d"+text]; known == "" && in.public.text(text) && (in.public.texts[text] || !personal(text)) {
		return text
	}
	return in.numbered(text, "masked%02d")
}

// own is the name that stands for one that a setting gives, if that has others than words of the source.
func (in *inputs) own(text string) string {
	if in.public.name(text) {
		return text
	}
	return in.numbered(text, "masked%02d")
}

func (in *inputs) numbered(text, form string) string {
	key := form + text
	if in.names[key] == "" {
		n := 1
		for known := range in.names {
			if strings.HasPrefix(known, form) {
				n++
			}
		}
		in.names[key] = fmt.Sprintf(form, n)
	}
	return in.names[key]
}
