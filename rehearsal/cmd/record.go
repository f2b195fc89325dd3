package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"time"

	stackconfig "expense/internal/config"
	"expense/rehearsal/internal/play"
	"expense/rehearsal/internal/stage"
	"expense/rehearsal/internal/state"
	"expense/rehearsal/ops/leftovers"
	"expense/rehearsal/ops/record"

	"github.com/aws/aws-sdk-go-v2/aws"
)

var (
	// events has for each stack the event logs that `make up-logged` and `make destroy-logged` write: TIME-up.json, TIME-destroy.json.
	events = filepath.Join(written, "events")
	// records has each stack's last record, for an issue.
	records = filepath.Join(written, "record")
	// accepted has the records that the model is held to.
	accepted = filepath.Join("rehearsal", "ops", "record", "testdata", "seen")
)

// recordCommand writes what AWS answers about a stack beside what the model answers, masked. It changes nothing in the account. It ends
// with 0 if nothing differs, with 3 if something does or was not seen, and with 1 if it could not find out.
func recordCommand(ctx context.Context, project string, args []string) (code int, err error) {
	flags := flag.NewFlagSet("record", flag.ExitOnError)
	stack := flags.String("stack", "dev", "stack to record")
	rehearsal := flags.Bool("rehearsal", false, "record the rehearsal against itself; needs no account")
	accept := flags.String("accept", "", "folder of a record to hold the model to from now on")
	_ = flags.Parse(args) // ends the process
	if *accept != "" {
		folder, err := record.Accept(*accept, filepath.Join(project, accepted))
		if err != nil {
			return 1, err
		}
		fmt.Printf("Accepted as %s. Now: cd rehearsal && go test ./ops/record\n", folder)
		return 0, nil
	}
	r := newRecording(project, *stack)
	if *rehearsal {
		return r.against(ctx, nil, "")
	}
	aws, account, err := r.inAccount(ctx)
	if err != nil {
		return 1, err
	}
	return r.against(ctx, aws, account)
}

// recording makes one record.
type recording struct {
	project, stack, folder string
	out                    io.Writer
	// signIn gives the credentials that the stack's file names, export the stack's state, rehearse the stack on the model until stop.
	signIn   func(ctx context.Context, stack leftovers.Stack) (aws.Config, error)
	export   func(ctx context.Context, project, stack string) ([]byte, error)
	rehearse func(ctx context.Context, project, stack, account string) (side record.Side, stop func(), err error)
}

// newRecording is one of a stack in an account.
func newRecording(project, stack string) recording {
	return recording{project, stack, filepath.Join(project, records, stack), os.Stdout, signIn, leftovers.Export, rehearsed}
}

// inAccount records the stack in its account, and gives that.
func (r *recording) inAccount(ctx context.Context) (made *record.Record, account string, err error) {
	stack, err := leftovers.Settings(r.project, r.stack)
	if err != nil {
		return nil, "", err
	}
	cfg, err := r.signIn(ctx, stack)
	if err != nil {
		return nil, "", err
	}
	cfg.Region = stack.Region
	data, err := r.export(ctx, r.project, r.stack)
	if err != nil {
		return nil, "", err
	}
	side := record.Side{AWS: cfg, InAccount: true, Project: r.project}
	if side.State, err = state.Read(data); err != nil {
		return nil, "", err
	}
	values, encrypted, err := stackconfig.File(r.project, r.stack)
	if err != nil {
		return nil, "", err
	}
	if side.Settings, err = stackconfig.ReadIn(r.project, values, encrypted); err != nil {
		return nil, "", err
	}
	kept := filepath.Join(r.project, events, r.stack, "state.json")
	if len(side.State.Resources) == 0 {
		made, err = r.afterwards(&side, kept)
		return made, side.Account(), err
	}
	// For the time after destroy. Its secrets are encrypted; no record has it.
	if err := errors.Join(os.MkdirAll(filepath.Dir(kept), 0o700), os.WriteFile(kept, data, 0o600)); err != nil {
		return nil, "", err
	}
	if err := r.last("up", &side); err != nil {
		return nil, "", err
	}
	fmt.Fprintf(r.out, "Asking AWS about %d resources of stack %s.\n", len(side.State.Resources), r.stack)
	made, err = record.Make(ctx, side, time.Now())
	return made, side.Account(), err
}

// afterwards adds the destruction to the record of the stack that was.
func (r *recording) afterwards(side *record.Side, kept string) (*record.Record, error) {
	data, err := os.ReadFile(kept)
	if err != nil {
		return nil, fmt.Errorf("stack %s has no resources, and no record was made while it had some: make one after: make up-logged STACK=%[1]s",
			r.stack)
	}
	if side.State, err = state.Read(data); err != nil {
		return nil, err
	}
	before, _, err := record.Read(r.folder)
	if err != nil {
		return nil, fmt.Errorf("stack %s has no resources, and its record from when it had some is not there: %w", r.stack, err)
	}
	if err := r.last("destroy", side); err != nil {
		return nil, err
	}
	fmt.Fprintf(r.out, "Stack %s is destroyed: adding that to the record in %s.\n", r.stack, r.folder)
	return before, before.Add(*side)
}

// last adds the last event log of a command, if there is one.
func (r *recording) last(command string, side *record.Side) error {
	files, err := filepath.Glob(filepath.Join(r.project, events, r.stack, "*-"+command+".json"))
	if err != nil || len(files) == 0 {
		return err
	}
	name := files[len(files)-1] // by their times
	data, err := os.ReadFile(name)
	side.Logs = append(side.Logs, record.Log{Name: name, Events: bytes.NewReader(data)})
	return err
}

// against compares a record of an account with the model's of the same account. Without one the rehearsal is compared with itself.
func (r *recording) against(ctx context.Context, aws *record.Record, account string) (code int, err error) {
	list, err := record.KnownDifferences()
	if err != nil {
		return 1, err
	}
	fmt.Fprintf(r.out, "Rehearsing stack %s.\n", r.stack)
	side, stop, err := r.rehearse(ctx, r.project, r.stack, account)
	if err != nil {
		return 1, err
	}
	defer stop()
	model, err := record.Make(ctx, side, time.Now())
	if err != nil {
		return 1, err
	}
	if aws == nil {
		if aws, err = record.Make(ctx, side, time.Now()); err != nil {
			return 1, err
		}
	}
	values, _, err := stackconfig.File(r.project, r.stack)
	if err != nil {
		return 1, err
	}
	inputs, err := record.Inputs(r.project, side.Account(), values)
	if err != nil {
		return 1, err
	}
	files, err := aws.Files(inputs)
	if err != nil {
		return 1, err
	}
	comparison := record.Compare(aws, model, list)
	maps.Copy(files, comparison.Pages(aws))
	folder := r.folder
	if aws.Header.Target != record.AnAccount {
		folder += "-rehearsal" // that of the account stays
	}
	if err := record.Write(folder, files); err != nil {
		return 1, err
	}
	advice := "It is masked: attach it to an issue, docs/model.md"
	if aws.Header.Target != record.AnAccount {
		advice = "It is of the rehearsal and says nothing about AWS: no issue needs it"
	}
	fmt.Fprintf(r.out, "%d values compared, %d differ, %d more are known to; %d calls had no answer.\nRecord: %s. %s.\n",
		comparison.Compared, len(comparison.Differences), len(comparison.Known), len(comparison.Unseen), folder, advice)
	if err := comparison.Err(); err != nil {
		return 3, err
	}
	if len(comparison.Unseen) > 0 {
		return 3, errors.New("not all was seen: README.md of the record lists the calls")
	}
	return 0, nil
}

// rehearsed brings the stack up on a stage, in the account if one is named.
func rehearsed(ctx context.Context, project, stack, account string) (record.Side, func(), error) {
	s, err := stage.New(ctx, stage.Options{
		Project: project, Stack: stack, Tools: toolsOf(project), Out: io.Discard, SaveAtEnd: true, Account: account,
	})
	if err != nil {
		return record.Side{}, nil, err
	}
	p := play.New(s, stack)
	err = p.Init(ctx)
	if err == nil {
		settings, unread := s.Settings()
		if err = unread; err == nil {
			record.Furnish(s.Model, settings)
		}
	}
	if err == nil {
		err = s.Pulumi(ctx, "up", "--yes", "--skip-preview")
	}
	var refused *stage.PulumiError
	if errors.As(err, &refused) {
		err = fmt.Errorf("%w\n%s", err, refused.Output)
	}
	if err == nil {
		target, failed := play.Target(ctx, s)
		if failed == nil {
			return record.Side{AWS: target.AWS, State: target.State, Settings: target.Settings, Project: project}, s.Stop, nil
		}
		err = failed
	}
	s.Stop()
	return record.Side{}, nil, err
}
