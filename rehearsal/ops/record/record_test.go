package record

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"expense/internal/config"
	"expense/rehearsal/internal/awsapi"
	"expense/rehearsal/internal/awsmodel"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var day = time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)

func recordOf(t *testing.T, side Side) *Record {
	r, err := Make(t.Context(), side, day)
	require.NoError(t, err)
	return r
}

func filesOf(t *testing.T, r *Record) map[string][]byte {
	files, err := r.Files(nil)
	require.NoError(t, err)
	return files
}

// all is everything, under names that end alike.
func all(t *testing.T, suffix string) map[string]string {
	return settings(t, "dev", everything(suffix))
}

func TestEveryTypeIsAskedForOnceOrShownByAnother(t *testing.T) {
	for _, typ := range awsmodel.Types() {
		_, shown := parts[typ]
		assert.NotEqual(t, len(looks[typ]) > 0, shown, "%s: it belongs either into looks or into parts", typ)
	}
	for typ, p := range parts {
		assert.NotEmpty(t, looks[p.of], "%s", typ)
	}
}

// The actions only read, and all of them are asked for.
func TestTheActionsOnlyRead(t *testing.T) {
	p := play(t, "dev", all(t, "x"))
	recordOf(t, p.side(t))
	assert.Equal(t, Actions(), slices.Sorted(maps.Keys(p.Calls())))
	page, err := awsapi.PagePolicy("../../../docs/model.md", "Record")
	require.NoError(t, err)
	assert.Equal(t, Actions(), page)
	for _, action := range Actions() {
		assert.Regexp(t, `:(Describe|Get|List)`, action)
	}
}

func TestAStackAgainstItselfShowsNoDifference(t *testing.T) {
	for name, values := range map[string]map[string]string{
		"dev": open(t, "dev"), "prod": open(t, "prod"), "example": open(t, "example"), "everything": all(t, "x"),
	} {
		t.Run(name, func(t *testing.T) {
			stack := name
			if name == "everything" {
				stack = "dev"
			}
			// Played twice: IDs and the names that are made by chance are others.
			a, b := play(t, stack, values), play(t, stack, values)
			seen, list := recordOf(t, a.side(t)), knownList(t)
			c := Compare(seen, recordOf(t, b.side(t)), list)
			require.NoError(t, c.Err())
			assert.Greater(t, c.Compared, 300)
			assert.Empty(t, c.Lacks)
			assert.Empty(t, c.Unseen)
			assert.Contains(t, string(c.Pages(seen)["README.md"]), "## Differences: 0 of ")
		})
	}
}

func knownList(t *testing.T) []Known {
	list, err := KnownDifferences()
	require.NoError(t, err)
	return list
}

// open are a committed stack's settings with what they leave to their user.
func open(t *testing.T, stack string) map[string]string {
	return settings(t, stack, map[string]map[string]any{"cluster": {"publicAccessCidrs": []any{"203.0.113.7/32"}}})
}

// changes are what AWS could do otherwise than the model, one by one.
var changes = []struct {
	typ, property string
	value         any
	want          string
}{
	{"aws:ec2/subnet:Subnet", "mapPublicIpOnLaunch", true, "MapPublicIpOnLaunch"},
	{"aws:cloudwatch/metricAlarm:MetricAlarm", "threshold", 7.0, "Threshold"},
	{"aws:iam/openIdConnectProvider:OpenIdConnectProvider", "clientIdLists", []any{"sts.amazonaws.com", "other"}, "ClientIDList[]"},
	{"aws:ecr/repository:Repository", "imageTagMutability", "MUTABLE", "ImageTagMutability"},
	{"aws:ec2/natGateway:NatGateway", "subnetId", "subnet-0123456789abcdef0", "SubnetId"},
}

func TestWhatTheModelAnswersOtherwiseIsADifferenceAndNothingElse(t *testing.T) {
	p := play(t, "dev", all(t, "x"))
	aws := recordOf(t, p.side(t))
	for n := range len(changes) - 2 {
		var want []string
		q := play(t, "dev", all(t, "x"))
		for _, c := range changes[n : n+3] { // three at a time
			o := q.Model.Objects(c.typ)[0]
			require.True(t, q.Model.Set(c.typ, o.ID, c.property, c.value))
			want = append(want, c.typ+" "+c.want)
		}
		c := Compare(aws, recordOf(t, q.side(t)), nil)
		var got []string
		for _, d := range c.Differences {
			got = append(got, d.Type+" "+d.Path)
			assert.NotEmpty(t, d.Call)
			assert.NotEqual(t, d.Model, d.AWS)
		}
		assert.ElementsMatch(t, want, got)
		require.ErrorContains(t, c.Err(), "3 problems")
		pages := c.Pages(aws)
		assert.Contains(t, string(pages["README.md"]), "## Differences: 3 of")
		assert.Len(t, pages, 4, "a page for each type that differs")
	}
}

// Masked values keep their relations.
func TestAReferenceToAnotherResourceIsADifference(t *testing.T) {
	a, b := play(t, "prod", open(t, "prod")), play(t, "prod", open(t, "prod"))
	gateways := b.Model.Objects("aws:ec2/natGateway:NatGateway")
	require.Greater(t, len(gateways), 1)
	swapped := 0
	for _, route := range b.Model.Objects("aws:ec2/route:Route") {
		if route.Properties["natGatewayId"] == gateways[0].ID {
			b.Model.Set("aws:ec2/route:Route", route.ID, "natGatewayId", gateways[1].ID)
			swapped++
		}
	}
	require.Equal(t, 1, swapped)
	c := Compare(recordOf(t, a.side(t)), recordOf(t, b.side(t)), nil)
	require.Len(t, c.Differences, 1)
	assert.Equal(t, "Routes[].NatGatewayId", c.Differences[0].Path)
}

func TestWhatAWSHasAndTheModelNotIsCounted(t *testing.T) {
	p := play(t, "dev", open(t, "dev"))
	aws, model := recordOf(t, p.side(t)), recordOf(t, p.side(t))
	subnets := 0
	for i, thing := range model.Things {
		if thing.Type == "aws:ec2/subnet:Subnet" {
			delete(model.Things[i].Answer, "CidrBlock")
			subnets++
		}
	}
	c := Compare(aws, model, nil)
	require.NoError(t, c.Err())
	assert.Equal(t, []Lack{{"aws:ec2/subnet:Subnet", "CidrBlock", subnets}}, c.Lacks)
	// The other way round it is a difference: AWS does not say what the model says.
	c = Compare(model, aws, nil)
	assert.Len(t, c.Differences, subnets)
}

// Two stacks that differ in names, account and region only give the same record.
func TestOtherNamesGiveTheSameRecord(t *testing.T) {
	one := all(t, "x")
	other := settings(t, "dev", everything("yy"))
	other["aws:region"] = "us-west-2"
	other["aws:allowedAccountIds"] = `["999988887777"]`
	for key, value := range other {
		other[key] = strings.ReplaceAll(value, "use1-az", "usw2-az")
	}
	a, b := play(t, "dev", one), play(t, "dev", other)
	require.NotEqual(t, a.Model.Account(), b.Model.Account())
	ra, rb := recordOf(t, a.side(t)), recordOf(t, b.side(t))
	require.NoError(t, Compare(ra, rb, nil).Err())
	ra.Header.Region, rb.Header.Region = "", "" // no secret
	want, got := filesOf(t, ra), filesOf(t, rb)
	for name := range want {
		assert.Equal(t, string(want[name]), string(got[name]), name)
	}

	t.Run("and nothing that only one of them has stands in its record", func(t *testing.T) {
		mine, others := realWords(t, a), realWords(t, b)
		secret := slices.DeleteFunc(slices.Sorted(maps.Keys(mine)), func(word string) bool { return others[word] || len(word) < 4 })
		require.Greater(t, len(secret), 100)
		text := string(bytes.Join(slices.Collect(maps.Values(want)), nil))
		for _, word := range slices.Concat(secret, realTexts(a)) {
			if found := regexp.MustCompile(`\b` + regexp.QuoteMeta(word) + `\b`).FindString(text); found != "" {
				assert.Fail(t, "it stands in the record", word)
			}
		}
	})
}

// realWords are all words of a stack's state and of what the model answers.
func realWords(t *testing.T, p *played) map[string]bool {
	out := map[string]bool{}
	add := func(v any) {
		data, err := json.Marshal(v)
		require.NoError(t, err)
		for _, word := range regexp.MustCompile(`[A-Za-z0-9]+`).FindAllString(string(data), -1) {
			out[word] = true
		}
	}
	asker := newAsker(p.Config())
	for _, r := range p.state.Resources {
		add(r)
		answer, _, _ := asker.answers(t.Context(), thing{r}, nil)
		add(answer)
	}
	return out
}

// realTexts are the texts of a stack's own that nobody else may read.
func realTexts(p *played) []string {
	out := []string{p.Model.Account(), "zebrax", "okapix", "gnux", "quaggax", "bossx", "444455556666", "duty@okapix.example",
		"tapirx", "lemurx"}
	for _, r := range p.state.Resources {
		out = append(out, string(r.ID))
		for _, name := range []string{"arn", "publicIp", "privateIp", "endpoint", "cidrBlock", "availabilityZone", "publicIp"} {
			if text, _ := r.Outputs[name].(string); text != "" && text != "192.168.0.0/16" { // the default is public
				out = append(out, text)
			}
		}
	}
	return out
}

func TestTheOrderOfTheStateDoesNotMatter(t *testing.T) {
	p := play(t, "dev", all(t, "x"))
	want := filesOf(t, recordOf(t, p.side(t)))
	random := rand.New(rand.NewPCG(1, 2))
	for range 5 {
		random.Shuffle(len(p.state.Resources), func(i, j int) {
			p.state.Resources[i], p.state.Resources[j] = p.state.Resources[j], p.state.Resources[i]
		})
		assert.Equal(t, want, filesOf(t, recordOf(t, p.side(t))))
	}
}

func TestACallThatIsRefusedIsNotSeenAndNoDifference(t *testing.T) {
	p, q := play(t, "dev", open(t, "dev")), play(t, "dev", open(t, "dev"))
	p.Inject("kms:GetKeyPolicy", awsapi.Denied)
	c := Compare(recordOf(t, p.side(t)), recordOf(t, q.side(t)), nil)
	require.NoError(t, c.Err())
	assert.Equal(t, []string{"aws:kms/key:Key expense: kms:GetKeyPolicy: AccessDenied"}, c.Unseen)

	p.Inject("*", awsapi.Denied)
	require.ErrorContains(t, Compare(recordOf(t, p.side(t)), recordOf(t, q.side(t)), nil).Err(), "nothing was compared")
}

func TestAResourceThatIsGoneIsNotSeen(t *testing.T) {
	p := play(t, "dev", open(t, "dev"))
	id := p.Model.Objects("aws:ec2/subnet:Subnet")[0].ID
	p.Model.Uproot("aws:ec2/subnet:Subnet", id)
	c := Compare(recordOf(t, p.side(t)), recordOf(t, play(t, "dev", open(t, "dev")).side(t)), nil)
	require.Len(t, c.Unseen, 1)
	assert.Contains(t, c.Unseen[0], "ec2:DescribeSubnets: AWS's list does not have it")
}

func TestAKnownDifferenceIsNoneUntilItNoLongerDiffers(t *testing.T) {
	p, q := play(t, "dev", open(t, "dev")), play(t, "dev", open(t, "dev"))
	typ := "aws:ec2/vpcEndpoint:VpcEndpoint"
	list := []Known{{Type: typ, Path: "PrivateDnsEnabled", Reason: "a test", Date: "2026-11-27"}}
	other := []Known{{Type: "aws:sns/topic:Topic", Path: "Owner"}} // dev has no topic: not judged
	for _, o := range q.Model.Objects(typ) {
		q.Model.Set(typ, o.ID, "privateDnsEnabled", o.Properties["privateDnsEnabled"] == false)
	}
	aws := recordOf(t, p.side(t))
	require.Error(t, Compare(aws, recordOf(t, q.side(t)), nil).Err())
	c := Compare(aws, recordOf(t, q.side(t)), append(list, other...))
	require.NoError(t, c.Err())
	assert.NotEmpty(t, c.Known)
	c = Compare(aws, aws, list)
	require.ErrorContains(t, c.Err(), "aws:ec2/vpcEndpoint:VpcEndpoint PrivateDnsEnabled: nothing differs there any more")
}

func TestTheListOfKnownDifferencesIsComplete(t *testing.T) {
	for _, k := range knownList(t) {
		assert.NotEmpty(t, looks[k.Type], "%s", k)
		assert.True(t, k.Path != "" && k.Reason != "" && len(k.Versions) > 0, "%s: it needs path, reason and versions", k)
		_, err := time.Parse(time.DateOnly, k.Date)
		require.NoError(t, err, "%s", k)
	}
}

func TestADocumentIsReadWhateverItsForm(t *testing.T) {
	want := names{"Statement": []any{names{"Action": []any{"a:B"}, "Resource": []any{"x+y z"}}}}
	assert.Equal(t, document(`{"Principal":{"Service":["s"]},"Condition":{"StringEquals":{"k":["v"]}}}`),
		document(`{"Principal":{"Service":"s"},"Condition":{"StringEquals":{"k":"v"}}}`))
	for _, text := range []string{
		`{"Statement":{"Action":"a:B","Resource":"x+y z"}}`, ` {"Statement":[{"Action":["a:B"],"Resource":["x+y z"]}]}`,
		`%7B%22Statement%22%3A%7B%22Action%22%3A%22a%3AB%22%2C%22Resource%22%3A%22x+y%20z%22%7D%7D`,
	} {
		assert.Equal(t, want, document(text))
	}
	assert.Equal(t, "{no JSON", document("{no JSON"))
}

func TestMasks(t *testing.T) {
	p, err := readPublic(project)
	require.NoError(t, err)
	m := &mask{public: p, seen: map[string]map[string]int{}}
	m.always("eu-west-1", "<region>")
	m.know("my-own-zoo", "<cluster.name>")
	for text, want := range map[string]string{
		"arn:aws:iam::123456789012:role/my-own-zoo":      "arn:<partition>:iam::<account:1>:role/<cluster.name>",
		"arn:aws-us-gov:eks:eu-west-1::x/my-own-zoology": "arn:<partition>:eks:<region>::x/<word:1>-own-<word:2>",
		"https://ABCDEF0123456789.gr7.eu-west-1.eks.x/a": "https://<word:3>.gr7.<region>.eks.x/a",
		"subnet-0a1b2c3d4e5f60718 and subnet-0a1b2c3d":   "<subnet:1> and <subnet:2>",
		"10.9.8.7/32 or 0.0.0.0/0":                       "<network:1> or 0.0.0.0/0",
		"jane.doe@zoo.example":                           "<email:1>",
		"2026-11-27T08:09:10.123Z":                       "<time>",
		"0f0f0f0f-1111-2222-3333-444455556666":           "<uuid:1>",
		"us-east-1a eu-west-3":                           "<zonename:1> <region:1>",
		"m5.large 1.35 v1.20.4-eksbuild.1":               "m5.large 1.35 v1.20.4-eksbuild.1",
		"owned by Zebediah":                              "owned by <word:4>",
		"com.amazonaws.eu-west-1.s3":                     "com.amazonaws.<region>.s3",
		strings.Repeat("QUJD0+/x", 40) + "==":            "<data:1>",
	} {
		n := &mask{public: p, known: m.known, seen: map[string]map[string]int{}}
		got, _ := n.number(n.text(text)).(string)
		assert.Equal(t, withoutNumbers(want), withoutNumbers(got), text)
		assert.Equal(t, got, n.number(n.text(text)), "always the same")
	}
	assert.Equal(t, "<word>", bare(m.text("Zebediah")))
	sentence := "Role Zebediah-1 of arn:aws:iam::123456789012:user/jane cannot be found, please retry."
	assert.Equal(t, "Role <word>-1 of arn:<partition>:iam::<account>:user/<word> cannot be found, please retry.", bare(m.prose(sentence)))
}

// seen are the accepted records. Each is played to the model again.
const seen = "testdata/seen"

func TestWhatWasSeenIsStillAnswered(t *testing.T) {
	folders, err := filepath.Glob(filepath.Join(seen, "*", "record.json"))
	require.NoError(t, err)
	for _, file := range folders {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) { require.NoError(t, replay(t, filepath.Dir(file)).Err()) })
	}
	t.Logf("%d accepted records; docs/model.md says how they come here", len(folders))
}

func replay(t *testing.T, folder string) *Comparison {
	r, inputs, err := Read(folder)
	require.NoError(t, err)
	return Compare(r, recordOf(t, play(t, "dev", inputs).side(t)), knownList(t))
}

// The account's own people and topic are there when a record is replayed.
func TestARecordWithTheAccountsOwnPeopleIsReplayed(t *testing.T) {
	values := settings(t, "prod", map[string]map[string]any{
		"cluster": {"publicAccessCidrs": []any{"203.0.113.7/32"},
			"admins": []any{"arn:aws:iam::222233334444:role/boss"}, "readers": []any{"arn:aws:iam::222233334444:user/path/clerk"}},
		"logging": {"alarms": map[string]any{"topicArn": "arn:aws:sns:us-east-1:222233334444:pager"}},
	})
	values["aws:allowedAccountIds"] = `["222233334444"]`
	p := play(t, "prod", values)
	r := recordOf(t, p.side(t))
	inputs, err := Inputs(project, p.Model.Account(), values)
	require.NoError(t, err)
	replayed := recordOf(t, play(t, "prod", inputs).side(t))
	c := Compare(r, replayed, nil)
	require.NoError(t, c.Err())
	assert.Len(t, replayed.Things, len(r.Things))
	for name, data := range filesOf(t, r) {
		for _, real := range []string{"boss", "clerk", "pager", "222233334444"} {
			assert.NotContains(t, string(data), real, name)
		}
	}
}

// A record of a stack with names of its own is accepted, replayed with the names that stand for them, and catches a model that changed.
func TestAnAcceptedRecordIsReplayed(t *testing.T) {
	values := all(t, "x")
	p := play(t, "dev", values)
	side := p.side(t)
	side.InAccount = true // the model stands for AWS
	r := recordOf(t, side)
	inputs, err := Inputs(project, p.Model.Account(), values)
	require.NoError(t, err)
	_, err = config.Read(inputs, nil)
	require.NoError(t, err)
	files, err := r.Files(inputs)
	require.NoError(t, err)
	from := filepath.Join(t.TempDir(), "record")
	require.NoError(t, Write(from, files))
	for _, word := range []string{"zebra", "okapi", "quagga", "boss", "gnu", "444455556666"} {
		assert.NotContains(t, string(files["inputs.json"]), word)
	}

	root := t.TempDir()
	to, err := Accept(from, filepath.Join(root, seen))
	require.NoError(t, err)
	c := replay(t, to)
	require.NoError(t, c.Err())
	assert.Greater(t, c.Compared, 300)
	_, err = Accept(from, filepath.Join(root, seen))
	require.ErrorContains(t, err, "is there already")

	// AWS once answered otherwise.
	file := filepath.Join(to, "seen", "ec2-subnet.json")
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	changed := bytes.Replace(data, []byte(`"MapPublicIpOnLaunch": false`), []byte(`"MapPublicIpOnLaunch": true`), 1)
	require.NotEqual(t, data, changed)
	require.NoError(t, os.WriteFile(file, changed, 0o600))
	require.ErrorContains(t, replay(t, to).Err(), "MapPublicIpOnLaunch: the model has false, AWS true (ec2:DescribeSubnets)")
}

func TestAFolderThatIsNoRecordIsNotAccepted(t *testing.T) {
	_, err := Accept(t.TempDir(), filepath.Join(t.TempDir(), "seen"))
	require.ErrorContains(t, err, "record.json")
}

// The rehearsal would else become a fact about AWS.
func TestARecordOfTheRehearsalIsNotAccepted(t *testing.T) {
	p := play(t, "dev", open(t, "dev"))
	r := recordOf(t, p.side(t))
	inputs, err := Inputs(project, p.Model.Account(), p.values)
	require.NoError(t, err)
	from, seen := filepath.Join(t.TempDir(), "record"), filepath.Join(t.TempDir(), "seen")
	for _, target := range []Target{r.Header.Target, ""} { // one without is older
		r.Header.Target = target
		files, err := r.Files(inputs)
		require.NoError(t, err)
		require.NoError(t, Write(from, files))
		_, err = Accept(from, seen)
		require.ErrorContains(t, err, "only what an account answered is taken")
		assert.NoDirExists(t, seen)
	}
	assert.Contains(t, string(Compare(r, r, nil).Pages(r)["README.md"]), "says nothing about AWS")
	r.Header.Target = TheRehearsal
	side := p.side(t)
	side.InAccount = true
	require.ErrorContains(t, r.Add(side), `the record is of "the rehearsal"`)
}
