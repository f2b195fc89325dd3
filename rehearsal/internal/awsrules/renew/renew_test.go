package renew

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wheelOf writes a wheel with the files.
func wheelOf(t *testing.T, path string, files map[string]string) {
	out, err := os.Create(path)
	require.NoError(t, err)
	archive := zip.NewWriter(out)
	for name, text := range files {
		w, err := archive.Create(name)
		require.NoError(t, err)
		data := []byte(text)
		if filepath.Ext(name) == ".gz" {
			var packed bytes.Buffer
			z := gzip.NewWriter(&packed)
			_, err = z.Write(data)
			require.NoError(t, err)
			require.NoError(t, z.Close())
			data = packed.Bytes()
		}
		_, err = w.Write(data)
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	require.NoError(t, out.Close())
}

const model = `{"operations": {"Make": {"input": {"shape": "In"}}}, "shapes": {
  "In": {"type": "structure", "members": {
    "Name": {"shape": "Name"}, "Tags": {"shape": "Tags"}, "Kinds": {"shape": "Kinds"}, "Size": {"shape": "Size"}}},
  "Name": {"type": "string", "max": 9, "pattern": "[\\u0020-\\u007E]+"},
  "Tags": {"type": "map", "key": {"shape": "Name"}, "value": {"shape": "Text"}}, "Text": {"type": "string"},
  "Kinds": {"type": "list", "member": {"shape": "Kind"}}, "Kind": {"type": "string", "enum": ["a", "b"]},
  "Size": {"type": "integer", "min": 1}}}`

const schema = `{"properties": {
    "Name": {"type": "string", "maxLength": 5, "minLength": 1}, "Parts": {"type": "array", "items": {"$ref": "#/definitions/Part"}}},
  "definitions": {"Part": {"properties": {"Text": {"format": "json", "pattern": "x\\Z"}}}}}`

const before = `# A head that stays.
versions: {}
arguments:
  aws:x/y:Y:
    kinds[]: {call: 'x Make Kinds[]', stale: 'an old list'}
    name:
      call: 'x Make Name'
      property: 'AWS::X::Y Name'
      botocore: {max: 1}
    part:
      call: 'x Make Tags{value}'
      property: 'AWS::X::Y Parts[].Text'
      documented: {pattern: 'own'}
      source: https://example.com
    size: {call: 'x Make Size'}
    switch: {call: 'x Make'}
between:
  - {type: 'aws:x/y:Y', rule: 'a rule', doctor: true, source: 'https://example.com'}
`

const after = `# A head that stays.
versions: {botocore: 1.2.3, cfnlint: 4.5.6, schemas: "2026-10-20T22:11:15Z"}
arguments:
  aws:x/y:Y:
    kinds[]:
      call: x Make Kinds[]
      stale: an old list
    name:
      call: x Make Name
      property: AWS::X::Y Name
      botocore: {pattern: '[\x{0020}-\x{007E}]+', max: 9}
    part:
      call: x Make Tags{value}
      property: AWS::X::Y Parts[].Text
      cloudformation: {format: json}
      documented: {pattern: own}
      source: https://example.com
    size:
      call: x Make Size
      type: integer
      botocore: {min: 1}
    switch:
      call: x Make
      type: boolean
between:
  - type: aws:x/y:Y
    rule: a rule
    doctor: true
    source: https://example.com
`

// The models' facts are written anew from the newest model of the service, and everything else stays as it is.
func TestRenewWritesWhatTheModelsSay(t *testing.T) {
	dir := t.TempDir()
	wheelOf(t, filepath.Join(dir, "botocore-1.2.3-py3-none-any.whl"), map[string]string{
		"botocore/data/x/2014-01-01/service-2.json.gz": `{}`, "botocore/data/x/2020-01-01/service-2.json.gz": model,
	})
	wheelOf(t, filepath.Join(dir, "cfn_lint-4.5.6-py3-none-any.whl"), map[string]string{
		"cfnlint/data/schemas/version.json":             `{"schema_date": "2026-10-20T22:11:15Z"}`,
		"cfnlint/data/schemas/providers/us-east-1.json": `{"AWS::X::Y": "ab"}`,
		"cfnlint/data/schemas/resources/ab.json":        schema,
	})
	rules := filepath.Join(dir, "rules.yaml")
	require.NoError(t, os.WriteFile(rules, []byte(before), 0o600))
	require.NoError(t, Table(dir, rules))
	written, err := os.ReadFile(rules)
	require.NoError(t, err)
	assert.Equal(t, after, string(written))
	require.NoError(t, Table(dir, rules))
	again, err := os.ReadFile(rules)
	require.NoError(t, err)
	assert.Equal(t, after, string(again))

	for _, wrong := range []string{"x Make Names", "x Unmake Name", "z Make Name", "x"} {
		require.NoError(t, os.WriteFile(rules, []byte("versions: {}\narguments: {aws:x/y:Y: {name: {call: '"+wrong+"'}}}\n"), 0o600))
		assert.ErrorContains(t, Table(dir, rules), "aws:x/y:Y name", wrong)
	}
}
