package verify

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"expense/rehearsal/internal/state"
	"expense/rehearsal/ops/login"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eks"
	"github.com/aws/aws-sdk-go-v2/service/eks/types"
)

var controlPlaneChecks = []Check{
	{
		Name:    "control-plane",
		Promise: "The control plane is active and healthy, with the version, endpoints, encryption, logs and access of the settings.",
		Actions: []string{"eks:DescribeCluster"}, Takes: 2 * time.Second, Run: checkControlPlane,
	},
	{
		Name:    "version-support",
		Promise: "The cluster's Kubernetes version is in EKS's standard support.",
		Actions: []string{"eks:DescribeClusterVersions"}, Takes: 2 * time.Second, Run: checkVersionSupport,
	},
	{
		Name:    "insights",
		Promise: "EKS's insights name no error in how the cluster is configured.",
		Actions: []string{"eks:ListInsights"}, Needs: []Ability{Insights}, Takes: 2 * time.Second, Run: checkInsights,
	},
	{
		Name:    "add-ons",
		Promise: "The stack's add-ons, and no others, are active and healthy, with the pinned versions and the stack's values.",
		Actions: []string{"eks:DescribeAddon", "eks:ListAddons"}, Takes: 5 * time.Second, Run: checkAddons,
	},
	{
		Name:    "associations",
		Promise: "The cluster's pod identity associations are the stack's, with its roles.",
		Actions: []string{"eks:DescribeAddon", "eks:DescribePodIdentityAssociation", "eks:ListPodIdentityAssociations"},
		Takes:   5 * time.Second, Run: checkAssociations,
	},
}

// cluster is the cluster's name.
func (s *Stack) cluster() *string { return &s.Settings.Cluster.Name }

func checkControlPlane(ctx context.Context, s *Stack, _ *Work) (string, error) {
	f, set := findings{}, s.Settings.Cluster
	made, err := s.only("aws:eks/cluster:Cluster")
	if err != nil {
		return "", err
	}
	thing := "cluster " + set.Name
	answer, err := eks.NewFromConfig(s.AWS).DescribeCluster(ctx, &eks.DescribeClusterInput{Name: s.cluster()})
	if !f.asked(thing, err) {
		return f.result()
	}
	c := answer.Cluster
	want := func(what string, found, wanted any) { f.want(thing, what, found, wanted) }
	want("status", c.Status, types.ClusterStatusActive)
	for _, issue := range value(c.Health).Issues {
		f.problem("%s: %s", thing, issued(issue.Code, issue.Message, issue.ResourceIds))
	}
	want("version", c.Version, set.Version)
	want("role", c.RoleArn, output(made, "roleArn"))
	network := value(c.ResourcesVpcConfig)
	want("private endpoint", network.EndpointPrivateAccess, true)
	want("public endpoint", network.EndpointPublicAccess, set.PublicAccess)
	if set.PublicAccess {
		want("range of the public endpoint", network.PublicAccessCidrs, set.PublicAccessCIDRs)
	}
	want("VPC", network.VpcId, output(made, "vpcConfig", "vpcId"))
	want("subnets", network.SubnetIds, outputs(made, "vpcConfig", "subnetIds"))
	want("range of Services", value(c.KubernetesNetworkConfig).ServiceIpv4Cidr, set.ServiceCIDR)
	key, err := s.only("aws:kms/key:Key")
	if err != nil {
		return "", err
	}
	var keys []string
	for _, e := range c.EncryptionConfig {
		keys = append(keys, aws.ToString(value(e.Provider).KeyArn))
	}
	want("key of what Kubernetes stores", keys, []string{output(key, "arn")})
	var logs []string
	for _, setup := range value(c.Logging).ClusterLogging {
		for _, kind := range setup.Types {
			if aws.ToBool(setup.Enabled) {
				logs = append(logs, string(kind))
			}
		}
	}
	want("logs", logs, outputs(made, "enabledClusterLogTypes"))
	want("authentication mode", value(c.AccessConfig).AuthenticationMode, types.AuthenticationModeApi)
	want("support", value(c.UpgradePolicy).SupportType, types.SupportTypeStandard)
	f.visit(1, "cluster")
	f.note("version %s", set.Version)
	if platform := aws.ToString(c.PlatformVersion); platform != "" {
		f.note("platform %s", platform)
	}
	return f.result()
}

// issued is a health issue in one line.
func issued[Code ~string](code Code, message *string, on []string) string {
	text := string(code)
	if aws.ToString(message) != "" {
		text += ": " + *message
	}
	if len(on) > 0 {
		text += " (" + strings.Join(on, ", ") + ")"
	}
	return text
}

func checkVersionSupport(ctx context.Context, s *Stack, _ *Work) (string, error) {
	f, version := findings{}, s.Settings.Cluster.Version
	answer, err := eks.NewFromConfig(s.AWS).DescribeClusterVersions(ctx, &eks.DescribeClusterVersionsInput{ClusterVersions: []string{version}})
	if !f.asked("Kubernetes "+version, err) {
		return f.result()
	}
	if len(answer.ClusterVersions) == 0 {
		f.problem("Kubernetes %s: EKS offers it no more: upgrade, one minor version at a time", version)
	}
	for _, v := range answer.ClusterVersions {
		ends := aws.ToTime(v.EndOfStandardSupportDate).Format(time.DateOnly)
		if v.VersionStatus != types.VersionStatusStandardSupport {
			f.problem("Kubernetes %s: %s, standard support ended on %s: upgrade, one minor version at a time", version, v.VersionStatus, ends)
		}
		f.visit(1, "version")
		f.note("%s is in %s until %s", version, v.VersionStatus, ends)
	}
	return f.result()
}

// checkInsights names when EKS has last looked: it looks now and then by itself, and a fix shows only after the next time
// (https://docs.aws.amazon.com/eks/latest/userguide/cluster-insights.html).
func checkInsights(ctx context.Context, s *Stack, _ *Work) (string, error) {
	f, oldest := findings{}, time.Now()
	list := eks.NewListInsightsPaginator(eks.NewFromConfig(s.AWS), &eks.ListInsightsInput{ClusterName: s.cluster()})
	all, err := login.All(ctx, list, func(p *eks.ListInsightsOutput) []types.InsightSummary { return p.Insights })
	if !f.asked("insights", err) {
		return f.result()
	}
	if len(all) == 0 {
		return "", notSeen("EKS has no insights on cluster %s yet: a new cluster has none for some time", s.Settings.Cluster.Name)
	}
	for _, i := range all {
		refreshed := aws.ToTime(i.LastRefreshTime)
		if refreshed.Before(oldest) {
			oldest = refreshed
		}
		status := cmp.Or(value(i.InsightStatus).Status, types.InsightStatusValueUnknown)
		said := fmt.Sprintf("%s: %s: %s, as of %s", aws.ToString(i.Name), status, aws.ToString(value(i.InsightStatus).Reason),
			refreshed.UTC().Format(time.DateTime))
		switch {
		case status == types.InsightStatusValueError && i.Category == types.CategoryMisconfiguration:
			f.problem("insight %s; a fix shows after the next refresh; more says: aws eks describe-insight --cluster-name %s --id %s --region %s",
				said, s.Settings.Cluster.Name, aws.ToString(i.Id), s.AWS.Region)
		case status != types.InsightStatusValuePassing:
			// The other categories are about the next version, or the one before.
			f.note("%s: %s", i.Category, said)
		}
	}
	f.visit(len(all), "insight")
	f.note("the oldest is of %s", oldest.UTC().Format(time.DateTime))
	return f.result()
}

func checkAddons(ctx context.Context, s *Stack, _ *Work) (string, error) {
	f, client, ours := findings{}, eks.NewFromConfig(s.AWS), []string{}
	for _, r := range s.resources("aws:eks/addon:Addon") {
		name := output(r, "addonName")
		ours = append(ours, name)
		thing := "add-on " + name
		answer, err := client.DescribeAddon(ctx, &eks.DescribeAddonInput{ClusterName: s.cluster(), AddonName: &name})
		if !f.asked(thing, err) {
			continue
		}
		a := answer.Addon
		f.want(thing, "status", a.Status, types.AddonStatusActive)
		for _, issue := range value(a.Health).Issues {
			f.problem("%s: %s", thing, issued(issue.Code, issue.Message, issue.ResourceIds))
		}
		if pinned := s.Settings.Cluster.AddonVersions[name]; pinned != "" {
			f.want(thing, "version", a.AddonVersion, pinned)
		}
		values, _ := state.At(r.Inputs, "configurationValues").(string)
		f.want(thing, "configuration", canonical(aws.ToString(a.ConfigurationValues)), canonical(values))
	}
	list := eks.NewListAddonsPaginator(client, &eks.ListAddonsInput{ClusterName: s.cluster()})
	all, err := login.All(ctx, list, func(p *eks.ListAddonsOutput) []string { return p.Addons })
	if f.asked("add-ons", err) {
		for _, name := range all {
			if !slices.Contains(ours, name) {
				f.problem("add-on %s: it is not the stack's: remove it with: aws eks delete-addon --cluster-name %s --addon-name %[1]s "+
					"--region %[3]s", name, s.Settings.Cluster.Name, s.AWS.Region)
			}
		}
	}
	if len(ours) == 0 {
		f.problem("the state has no add-on: is the stack up whole?")
	}
	f.visit(len(ours), "add-on")
	return f.result()
}

// checkAssociations compares service accounts and their roles. Those that an add-on owns are in its description.
func checkAssociations(ctx context.Context, s *Stack, _ *Work) (string, error) {
	f, client := findings{}, eks.NewFromConfig(s.AWS)
	wanted, ids := map[string]string{}, []string{}
	for _, r := range s.resources("aws:eks/podIdentityAssociation:PodIdentityAssociation") {
		wanted[output(r, "namespace")+"/"+output(r, "serviceAccount")] = output(r, "roleArn")
	}
	for _, r := range s.resources("aws:eks/addon:Addon") {
		associations, _ := state.At(r.Outputs, "podIdentityAssociations").([]any)
		if len(associations) == 0 {
			continue
		}
		for _, a := range associations {
			account, _ := state.At(a, "serviceAccount").(string)
			role, _ := state.At(a, "roleArn").(string)
			wanted["kube-system/"+account] = role
		}
		name := output(r, "addonName")
		answer, err := client.DescribeAddon(ctx, &eks.DescribeAddonInput{ClusterName: s.cluster(), AddonName: &name})
		if f.asked("add-on "+name, err) {
			for _, arn := range answer.Addon.PodIdentityAssociations {
				ids = append(ids, arn[strings.LastIndex(arn, "/")+1:])
			}
		}
	}
	list := eks.NewListPodIdentityAssociationsPaginator(client, &eks.ListPodIdentityAssociationsInput{ClusterName: s.cluster()})
	all, err := login.All(ctx, list, func(p *eks.ListPodIdentityAssociationsOutput) []types.PodIdentityAssociationSummary {
		return p.Associations
	})
	whole := f.asked("associations", err) && len(f.unseen) == 0
	for _, a := range all {
		ids = append(ids, aws.ToString(a.AssociationId))
	}
	slices.Sort(ids)
	found := map[string]string{}
	for _, id := range slices.Compact(ids) {
		answer, err := client.DescribePodIdentityAssociation(ctx, &eks.DescribePodIdentityAssociationInput{
			ClusterName: s.cluster(), AssociationId: &id,
		})
		if !f.asked("association "+id, err) {
			whole = false
			continue
		}
		a := answer.Association
		found[aws.ToString(a.Namespace)+"/"+aws.ToString(a.ServiceAccount)] = aws.ToString(a.RoleArn)
	}
	for _, account := range slices.Sorted(maps.Keys(wanted)) {
		if role, has := found[account]; has {
			f.want("association of "+account, "role", role, wanted[account])
		} else if whole {
			f.problem("association of %s: AWS has none, and its pods get no role", account)
		}
	}
	for _, account := range slices.Sorted(maps.Keys(found)) {
		if _, ours := wanted[account]; !ours {
			f.problem("association of %s with role %s: it is not the stack's", account, found[account])
		}
	}
	if len(wanted) == 0 {
		f.problem("the state has no association: is the stack up whole?")
	}
	f.visit(len(found), "association")
	return f.result()
}
