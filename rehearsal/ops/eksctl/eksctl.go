// Package eksctl makes the file of a stack from eksctl's file of a cluster, a ClusterConfig. Each field of that has a decision in
// fields.csv: it becomes a setting, is so anyway, is changed on purpose, or is not supported.
package eksctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"expense/internal/config"
	"expense/rehearsal/internal/page"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Options say what to convert.
type Options struct {
	// Project is the folder of the stacks' files, Stack the stack that gets one.
	Project, Stack string
	// File is the ClusterConfig.
	File string
	// Anyway writes the stack's file without the fields that are not supported, with a comment at each.
	Anyway bool
	// SignIn gives the environment's credentials for a region. An error leaves the account out.
	SignIn func(ctx context.Context, region string) (aws.Config, error)
	Out    io.Writer
	Today  time.Time
}

// Problems are everything that is wrong with a file, by line.
type Problems struct {
	File string
	// Wrong is what has to be corrected, Unsupported what the stack does not have.
	Wrong, Unsupported []Problem
}

func (p *Problems) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", p.File)
	if len(p.Wrong) > 0 {
		fmt.Fprintf(&b, "%d to correct:", len(p.Wrong))
		for _, one := range p.Wrong {
			b.WriteString("\n  " + one.String())
		}
	}
	if len(p.Unsupported) > 0 {
		if len(p.Wrong) > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%d not supported here:", len(p.Unsupported))
		for _, one := range p.Unsupported {
			fmt.Fprintf(&b, "\n  line %d: %s: %s", one.Line, printable(one.Path), one.Found)
		}
		b.WriteString("\nRemove them; or write the stack's file without them, and with a comment at each: ANYWAY=1")
	}
	return b.String() + "\nNothing is written."
}

var stackName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$`)

// Run writes Pulumi.STACK.yaml, and says what became of each field.
func Run(ctx context.Context, o Options) error {
	if o.File == "" {
		return errors.New("found no file: name one, as in make from-eksctl FILE=eks.yml STACK=expense")
	}
	if !stackName.MatchString(o.Stack) {
		return fmt.Errorf("found the stack %q; allowed: a name of letters, digits, '-' and '_', as in STACK=expense", o.Stack)
	}
	target := "Pulumi." + o.Stack + ".yaml"
	if _, err := os.Lstat(filepath.Join(o.Project, target)); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("found %s, which is never overwritten: name another stack, as in STACK=expense, or remove the file", target)
	}
	data, err := os.ReadFile(o.File)
	if err != nil {
		return err
	}
	c, a, told, err := o.convert(ctx, data)
	if err != nil {
		return err
	}
	text := c.text(filepath.Base(o.File), a)
	settings, err := c.check(o, a)
	if err != nil {
		return err
	}
	if err := create(filepath.Join(o.Project, target), text); err != nil {
		return err
	}
	return c.report(o, settings, told)
}

// convert gives the settings, and the account or why there is none.
func (o Options) convert(ctx context.Context, data []byte) (c *conversion, a *account, told string, err error) {
	root, problems := read(data)
	if len(problems) > 0 {
		return nil, nil, "", &Problems{File: o.File, Wrong: problems}
	}
	c = convert(root)
	if c.failure(o) != nil {
		c.complete(nil)
		if len(c.problems) == 0 { // What the loader says of what is there already is told too.
			if _, err := c.check(o, nil); err != nil {
				return nil, nil, "", err
			}
		}
		return nil, nil, "", c.failure(o)
	}
	cfg, err := o.SignIn(ctx, scalar(root, "metadata", "region"))
	if err == nil {
		var types []string
		for _, g := range c.groups {
			types = append(types, c.types(g)...)
		}
		a, err = look(ctx, cfg, types)
	}
	if stopped := ctx.Err(); stopped != nil {
		return nil, nil, "", stopped
	}
	if err != nil {
		told = fmt.Sprintf("No account was asked: %v", err)
		a = nil
	}
	c.complete(a)
	return c, a, told, c.failure(o)
}

// failure is an error if something is wrong.
func (c *conversion) failure(o Options) error {
	if len(c.problems) == 0 && (len(c.unsupported) == 0 || o.Anyway) {
		return nil
	}
	slices.SortStableFunc(c.problems, func(a, b Problem) int { return a.Line - b.Line })
	p := &Problems{File: o.File, Wrong: c.problems}
	if !o.Anyway {
		p.Unsupported = c.unsupported
	}
	return p
}

// anyAddress may reach the cluster while the rules are asked: it is for documentation (RFC 5737).
const anyAddress = "203.0.113.7/32"

// check gives the text to the loader as it will be when somebody may reach the cluster.
func (c *conversion) check(o Options, a *account) (*config.Config, error) {
	folder, err := os.MkdirTemp("", "from-eksctl-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	program, err := os.ReadFile(filepath.Join(o.Project, "Pulumi.yaml"))
	if err != nil {
		return nil, err
	}
	if c.closed() {
		c.settings["cluster"]["publicAccessCidrs"] = []string{anyAddress}
		defer delete(c.settings["cluster"], "publicAccessCidrs")
	}
	err = errors.Join(os.WriteFile(filepath.Join(folder, "Pulumi.yaml"), program, 0o600),
		os.WriteFile(filepath.Join(folder, "Pulumi."+o.Stack+".yaml"), []byte(c.text("", a)), 0o600))
	if err != nil {
		return nil, err
	}
	values, encrypted, err := config.File(folder, o.Stack)
	if err != nil {
		return nil, err
	}
	settings, err := config.ReadIn(folder, values, encrypted)
	var problems config.Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			if _, given := c.sources["network.zones"]; given || p.Path != "network.zones" { // else the region is wrong, and has a line
				c.problems = append(c.problems, c.origin(p))
			}
		}
		return nil, c.failure(o)
	}
	return settings, err
}

// origin is a problem of a setting as one of the field that it comes from.
func (c *conversion) origin(p config.Problem) Problem {
	best := ""
	for path := range c.sources {
		rest, within := strings.CutPrefix(p.Path, path)
		if within && (rest == "" || rest[0] == '.' || rest[0] == '[') && len(path) > len(best) {
			best = path
		}
	}
	from, known := c.sources[best]
	if !known {
		return Problem{0, "the setting " + p.Path, p.Found, p.Allowed, p.Remedy}
	}
	return Problem{from.line, from.path + ", here " + p.Path, p.Found, p.Allowed, p.Remedy}
}

// create writes a file that is not there yet.
func create(path, text string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// report says what became of each field, and what to do next.
func (c *conversion) report(o Options, settings *config.Config, told string) error {
	var p page.Page
	var rows [][]string
	for _, line := range c.lines {
		rows = append(rows, []string{line.Field, line.File, line.String(), line.Why})
	}
	p.Heading("%s as stack %s", printable(filepath.Base(o.File)), o.Stack)
	p.Table([]page.Column{{Name: "field", Code: true}, {Name: "in the file"}, {Name: "here"}, {Name: "why"}}, rows)
	if told != "" {
		p.Say("%s", told)
		p.Say("So the zones are not looked up. With credentials this command resolves their names; this shows their IDs: "+
			"aws ec2 describe-availability-zones --region %s", settings.Region)
	}
	if warnings := settings.Warnings(o.Today); len(warnings) > 0 {
		p.Heading("To think about")
		p.List(warnings...)
	}
	p.Heading("Pulumi.%s.yaml is written. Next", o.Stack)
	next := []string{"pulumi stack init " + o.Stack}
	if c.closed() {
		next = append(next, openCommand+" --stack "+o.Stack)
	}
	next = append(next, "make doctor STACK="+o.Stack, "pulumi up --stack "+o.Stack)
	p.Code("sh", strings.Join(next[:3], "\n"))
	_, err := fmt.Fprint(o.Out, p.Text())
	return err
}
