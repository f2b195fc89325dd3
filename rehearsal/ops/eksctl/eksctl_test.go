package eksctl

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"expense/rehearsal/ops/doctor"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "writes what the files become into testdata")

// day is one on which 1.34 and 1.35 have standard support.
var day = time.Date(2026, time.January, 15, 0, 0, 0, 0, time.UTC)

// run converts a file in a project of its own, without an account. written is "" if there is no stack's file.
func run(t testing.TB, file string, change func(*Options)) (written, said string, err error) {
	var out bytes.Buffer
	o := Options{
		Project: t.TempDir(), Stack: "expense", File: file, Out: &out, Today: day,
		SignIn: func(context.Context, string) (aws.Config, error) {
			return aws.Config{}, errors.New("found no credentials")
		},
	}
	program, err := os.ReadFile("../../../Pulumi.yaml")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(o.Project, "Pulumi.yaml"), program, 0o600))
	if change != nil {
		change(&o)
	}
	err = Run(t.Context(), o)
	data, missing := os.ReadFile(filepath.Join(o.Project, "Pulumi."+o.Stack+".yaml"))
	if missing != nil {
		require.ErrorIs(t, missing, os.ErrNotExist)
	}
	return string(data), out.String(), err
}

// fromText converts a text.
func fromText(t testing.TB, text string, change func(*Options)) (written, said string, err error) {
	file := filepath.Join(t.TempDir(), "eks.yml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return run(t, file, change)
}

// testdata/NAME.want is what a person would write by hand, or the error, and NAME.anyway what ANYWAY=1 writes.
func TestFilesBecomeWhatOneWouldWriteByHand(t *testing.T) {
	files, err := filepath.Glob("testdata/*")
	require.NoError(t, err)
	seen := 0
	for _, file := range files {
		extension := filepath.Ext(file)
		if extension != ".yml" && extension != ".json" {
			continue
		}
		seen++
		t.Run(filepath.Base(file), func(t *testing.T) {
			for want, anyway := range map[string]bool{".want": false, ".anyway": true} {
				want = strings.TrimSuffix(file, extension) + want
				data, err := os.ReadFile(want)
				if anyway && err != nil {
					continue
				}
				written, said, err := run(t, file, func(o *Options) { o.Anyway = anyway })
				got := written
				if err != nil {
					assert.Empty(t, written)
					assert.Empty(t, said)
					got = err.Error() + "\n"
				}
				assert.NotContains(t, got+said, "do-not-show")
				if *update {
					require.NoError(t, os.WriteFile(want, []byte(got), 0o600))
					continue
				}
				assert.Equal(t, string(data), got)
			}
		})
	}
	assert.GreaterOrEqual(t, seen, 10)
}

// The file of the README's table gives dev's cluster.
func TestSevenLinesGiveDevsCluster(t *testing.T) {
	written, said, err := fromText(t, seven, nil)
	require.NoError(t, err)
	data, err := os.ReadFile("../../../Pulumi.dev.yaml")
	require.NoError(t, err)
	var got, dev map[string]map[string]any
	require.NoError(t, errors.Join(yaml.Unmarshal([]byte(written), &got), yaml.Unmarshal(data, &dev)))
	assert.Equal(t, dev, got)
	for _, want := range []string{
		"cluster.nodeGroups.expense.capacityType", "cluster.nodeGroups.expense.maxSize: 5",
		"pulumi stack init expense\n" +
			"pulumi config set --path 'expense:cluster.publicAccessCidrs[0]' \"$(curl -s https://checkip.amazonaws.com)/32\"" +
			" --stack expense\nmake doctor STACK=expense\n",
		"has one type: when EC2 has no spare m5.large",
	} {
		assert.Contains(t, said, want)
	}
}

// The loader takes what is written once somebody may reach the cluster, and each is in the table's words until then.
func TestTheLoaderTakesWhatIsWritten(t *testing.T) {
	for _, file := range []string{"seven-lines.yml", "production.yml", "graviton.json", "closed.yml", "access.yml", "cheap.yml", "anchors.yml",
		"gpu.yml", "same.yml", "tags.yml"} {
		project := ""
		_, _, err := run(t, filepath.Join("testdata", file), func(o *Options) { project = o.Project })
		require.NoError(t, err, file)
		_, problems, err := doctor.Settings(project, "expense")
		require.NoError(t, err, file)
		for _, p := range problems {
			assert.Equal(t, "cluster.publicAccessCidrs", p.Path, file)
			assert.Equal(t, "nothing", p.Found, file)
		}
	}
}

func TestAFileThatIsThereStays(t *testing.T) {
	for _, link := range []bool{false, true} {
		written, said, err := run(t, "testdata/seven-lines.yml", func(o *Options) {
			path := filepath.Join(o.Project, "Pulumi.expense.yaml")
			if link {
				require.NoError(t, os.WriteFile(filepath.Join(o.Project, "elsewhere"), []byte("config: {}\n"), 0o600))
				require.NoError(t, os.Symlink("elsewhere", path))
			} else {
				require.NoError(t, os.WriteFile(path, []byte("config: {}\n"), 0o600))
			}
		})
		assert.ErrorContains(t, err, "found Pulumi.expense.yaml, which is never overwritten")
		assert.Equal(t, "config: {}\n", written)
		assert.Empty(t, said)
	}
}

func TestWhatIsMissingOnTheCommandLineIsSaid(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"make from-eksctl FILE=eks.yml STACK=expense": func(o *Options) { o.File = "" },
		"no such file": func(o *Options) { o.File = "nothing.yml" },
		`found the stack "../dev"; allowed: a name of letters`: func(o *Options) { o.Stack = "../dev" },
	} {
		_, _, err := run(t, "testdata/seven-lines.yml", change)
		assert.ErrorContains(t, err, want)
	}
}

// Who may reach the cluster already is not asked for.
func TestTheNextCommandsFollowTheFile(t *testing.T) {
	_, said, err := run(t, "testdata/production.yml", nil)
	require.NoError(t, err)
	assert.Contains(t, said, "pulumi stack init expense\nmake doctor STACK=expense\npulumi up --stack expense\n")
}

// What the file leaves to eksctl, and is otherwise here, is in the table.
func TestEksctlsDefaultsThatAreOthersHereAreSaid(t *testing.T) {
	_, said, err := fromText(t, seven+"cloudWatch: {clusterLogging: {enableTypes: [all]}}\n", nil)
	require.NoError(t, err)
	lines := strings.Join(strings.Fields(said), " ")
	for _, want := range []string{
		"cloudWatch.clusterLogging.logRetentionInDays not set cluster.logRetentionDays: 7 eksctl keeps logs that are on for ever",
		"iam.withOIDC not set changed", "iam.vpcResourceControllerPolicy not set changed",
		"managedNodeGroups[].ssh.enableSsm not set changed", "managedNodeGroups[].nodeRepairConfig.enabled not set nodeRepair: true",
		"managedNodeGroups[].updateConfig not set maxUnavailablePercentage: 33",
		"managedNodeGroups[0].availabilityZones not set cluster.nodeGroups.expense.perZone: true",
		"addons not set aws-ebs-csi-driver, eks-node-monitoring-agent, eks-pod-identity-agent",
		"addons[].configurationValues not set changed vpc-cni enforces network policies",
	} {
		assert.Contains(t, lines, want)
	}
	// Who says it does not hear it.
	_, said, err = run(t, "testdata/same.yml", nil)
	require.NoError(t, err)
	for _, field := range []string{
		"iam.withOIDC", "iam.vpcResourceControllerPolicy", "managedNodeGroups[].ssh.enableSsm", "managedNodeGroups[].nodeRepairConfig.enabled",
		"addons[].configurationValues",
	} {
		assert.NotContains(t, strings.Join(strings.Fields(said), " "), field+" not set")
	}
}
