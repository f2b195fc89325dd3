package eksctl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"expense/internal/config"
	"expense/internal/published"
	"expense/rehearsal/ops/login"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"go.yaml.in/yaml/v3"
)

// account is what the file's region has for an account.
type account struct {
	id string
	// zones are the IDs of its zones by their names, offered the zones, by ID, of an instance type.
	zones   map[string]string
	offered map[string][]string
	// logs tells whether it has the role that OpenSearch Service needs once in each account, nil if it does not say.
	logs *bool
}

// logsRole is the service-linked role of OpenSearch Service
// (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/slr.html).
const logsRole = "AWSServiceRoleForAmazonOpenSearchService"

// look asks AWS.
func look(ctx context.Context, cfg aws.Config, instanceTypes []string) (*account, error) {
	a, client := &account{zones: map[string]string{}, offered: map[string][]string{}}, ec2.NewFromConfig(cfg)
	caller, err := sts.NewFromConfig(cfg).GetCallerIdentity(ctx, nil)
	if err != nil {
		return nil, err
	}
	a.id = aws.ToString(caller.Account)
	zones, err := client.DescribeAvailabilityZones(ctx, &ec2.DescribeAvailabilityZonesInput{
		Filters: []types.Filter{{Name: aws.String("zone-type"), Values: []string{"availability-zone"}}},
	})
	if err != nil {
		return nil, err
	}
	for _, zone := range zones.AvailabilityZones {
		a.zones[aws.ToString(zone.ZoneName)] = aws.ToString(zone.ZoneId)
	}
	list := ec2.NewDescribeInstanceTypeOfferingsPaginator(client, &ec2.DescribeInstanceTypeOfferingsInput{
		LocationType: types.LocationTypeAvailabilityZoneId,
		Filters:      []types.Filter{{Name: aws.String("instance-type"), Values: instanceTypes}},
	})
	offers, err := login.All(ctx, list, func(p *ec2.DescribeInstanceTypeOfferingsOutput) []types.InstanceTypeOffering {
		return p.InstanceTypeOfferings
	})
	if err != nil {
		return nil, err
	}
	for _, o := range offers {
		a.offered[string(o.InstanceType)] = append(a.offered[string(o.InstanceType)], aws.ToString(o.Location))
	}
	_, err = iam.NewFromConfig(cfg).GetRole(ctx, &iam.GetRoleInput{RoleName: aws.String(logsRole)})
	if err == nil || login.Missing(err) {
		a.logs = aws.Bool(err == nil)
	}
	return a, nil
}

// zoneID matches a zone's ID.
var zoneID = regexp.MustCompile(`^[a-z]+[1-9]-az[1-9][0-9]?$`)

// zones sets network.zones, by ID: a name is another zone in another account
// (https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html).
func (c *conversion) zones(a *account) {
	const field, setting, byID = "availabilityZones", "network.zones", "zones by ID"
	node, region := child(c.root, field), scalar(c.root, "metadata", "region")
	if node != nil {
		c.sources[setting] = source{field, node.Line}
	}
	wanted := 3
	if region == "us-east-1" { // pkg/az/az.go
		wanted = 2
	}
	if node != nil && a == nil && slices.ContainsFunc(published.Regions(), func(row []string) bool { return row[0] == region }) {
		for i, item := range node.Content {
			if !zoneID.MatchString(item.Value) && !strings.HasPrefix(item.Value, region) {
				c.problem(item, fmt.Sprintf("%s[%d]", field, i), quote(item.Value), "a zone of "+region+", as "+region+"a", "")
			}
		}
	}
	if node != nil {
		wanted = max(2, len(node.Content))
	}
	var zones []string
	why := ""
	switch {
	case node != nil && a != nil:
		zones = c.resolve(a, node)
		why = fmt.Sprintf("in account %s these are %s", a.id, strings.Join(textsOf(node), ", "))
	case node != nil && !slices.ContainsFunc(textsOf(node), func(zone string) bool { return !zoneID.MatchString(zone) }):
		zones, why = textsOf(node), byID
	case a != nil:
		zones = slices.DeleteFunc(slices.Sorted(maps.Values(a.zones)), func(zone string) bool {
			return c.lacking(a, zone) != "" || !allowed(region, zone)
		})
		if len(zones) < 2 {
			c.problems = append(c.problems, Problem{0, field, "none", "two zones of " + region + " in which EKS and the instance types are",
				"choose other types or another region"})
		}
		zones, why = zones[:min(wanted, len(zones))], "in account "+a.id+" EKS and the instance types are there; eksctl chooses at random"
	default:
		zones = guess(region, wanted)
		why = "not looked up: eksctl chooses zones at random, and in these EKS places control planes"
		if node != nil {
			why = fmt.Sprintf("in place of %s, which are other zones in other accounts: sign in, and run this again",
				strings.Join(textsOf(node), ", "))
		}
	}
	c.settings["network"]["zones"] = zones
	if why != byID {
		c.comment(setting, strings.ToUpper(why[:1])+why[1:]+".")
	}
	line := Line{field, notSet, setting + ": " + strings.Join(zones, ", "), why, Changed}
	if node == nil {
		c.lines = append(c.lines, line)
		return
	}
	for i := range c.lines {
		if c.lines[i].Field == field {
			line.File, line.Decision = c.lines[i].File, Carried
			c.lines[i] = line
		}
	}
}

// resolve gives the IDs of the file's zones.
func (c *conversion) resolve(a *account, node *yaml.Node) (zones []string) {
	region := scalar(c.root, "metadata", "region")
	for i, item := range node.Content {
		path, id := fmt.Sprintf("availabilityZones[%d]", i), item.Value
		if !zoneID.MatchString(id) {
			id = a.zones[item.Value]
		}
		switch lacking := c.lacking(a, id); {
		case !slices.Contains(slices.Collect(maps.Values(a.zones)), id):
			c.problem(item, path, quote(item.Value)+", which account "+a.id+" does not have",
				strings.Join(slices.Sorted(maps.Keys(a.zones)), ", "), "")
		case !allowed(region, id):
			c.problem(item, path, quote(item.Value)+", "+id+" in account "+a.id, "a zone in which EKS places control planes", "choose another one")
		case lacking != "":
			c.problem(item, path, fmt.Sprintf("%q, %s in account %s, which has no instances for %s", item.Value, id, a.id, lacking),
				"zones that offer a type of each group", "choose another zone or type")
		}
		zones = append(zones, id)
	}
	return zones
}

// lacking is a group none of whose types a zone has, "" for none.
func (c *conversion) lacking(a *account, zone string) string {
	for _, g := range c.groups {
		if !slices.ContainsFunc(c.types(g), func(t string) bool { return slices.Contains(a.offered[t], zone) }) {
			return scalar(g.node, "name")
		}
	}
	return ""
}

// more are the regions with more than three zones
// (https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html).
var more = map[string]int{"us-east-1": 6, "us-west-2": 4, "ca-central-1": 4, "eu-west-2": 4, "ap-northeast-1": 4, "ap-northeast-2": 4}

// guess are the first zones of a region that the settings allow.
func guess(region string, wanted int) (zones []string) {
	i := slices.IndexFunc(published.Regions(), func(row []string) bool { return row[0] == region && row[2] != "" })
	for n := 1; i >= 0 && n <= max(3, more[region]) && len(zones) < wanted; n++ {
		if zone := fmt.Sprintf("%s-az%d", published.Regions()[i][2], n); allowed(region, zone) {
			zones = append(zones, zone)
		}
	}
	return zones
}

// allowed asks the settings' rules about a zone.
func allowed(region, zone string) bool {
	network, _ := json.Marshal(map[string]any{"zones": []string{zone}}) // texts can be written
	_, err := config.ReadIn("", map[string]string{"aws:region": region, "expense:network": string(network)}, nil)
	var problems config.Problems
	return !errors.As(err, &problems) ||
		!slices.ContainsFunc(problems, func(p config.Problem) bool { return p.Path == "network.zones[0]" })
}
