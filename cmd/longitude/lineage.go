package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"longitude/deid"
	"longitude/internal/lineage"
	"longitude/internal/postgres"
	"longitude/internal/release"
	"longitude/pipeline"
	"longitude/study"
	"longitude/transform"
)

func (a *app) lineageCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "lineage", Short: "Where released data come from"}
	cmd.AddCommand(a.traceCommand())
	return cmd
}

func (a *app) traceCommand() *cobra.Command {
	var show bool
	var reason string
	cmd := &cobra.Command{
		Use: "trace RELEASE TABLE KEY", Short: "Walk from a released row back to the landed bytes", Args: cobra.ExactArgs(3),
		Long: `KEY is the record_id, visit_id or participant_id of the row, or the values of its
key as COLUMN=VALUE,COLUMN=VALUE. The answer names the versions that the row was made
of, the batches that brought them, the row and line in each landed object, and the
events of the audit log. On the way it checks that the landed bytes are those that the
batch names, that the versions are among those that the batch recorded, and that the
log has the event.

--show-line prints the rows as they were landed, which identify people. A custodian, an
auditor or a data manager signs for it, with a reason, and it is an event of the audit
log before anything is shown.

` + exitCodes,
		Example: "  longitude lineage trace amd_obs_01_r001 visual_acuity RZ8Q…\n" +
			"  longitude lineage trace amd_obs_01_r001 visits participant_id=P7K2M…,visit_seq=2\n" +
			"  longitude lineage trace amd_obs_01_r001 visual_acuity RZ8Q… --show-line --reason source_verification --as vera",
	}
	cmd.Flags().BoolVar(&show, "show-line", false, "print the rows as landed; signed, and on record")
	cmd.Flags().StringVar(&reason, "reason", "", "why originals are looked at, one of: "+lineage.PurposeCodes())
	signer := signFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		key, err := lineage.ParseKey(args[2])
		if err == nil && show {
			err = lineage.CheckPurpose(reason)
		}
		if err != nil {
			return err
		}
		h, err := a.open(cmd.Context(), needReading)
		if err != nil {
			return err
		}
		defer h.close()
		t := tracer{h: h, key: key, trace: lineage.Trace{Release: args[0], Table: args[1], Key: args[2]}}
		if err := t.walk(cmd.Context()); err != nil {
			return err
		}
		if show {
			if err := t.show(cmd.Context(), signer, reason); err != nil {
				return err
			}
		}
		if err := a.printTrace(&t.trace); err != nil {
			return err
		}
		return t.trace.Err()
	}
	return cmd
}

// tracer walks from a released row back to the landed bytes.
type tracer struct {
	h         *house
	key       lineage.Key
	trace     lineage.Trace
	study     *study.Study
	recipient *deid.Recipient
	row       postgres.Row
	texts     map[landedRow]string
}

// walk goes the whole way. Nothing that it writes down is a value of the row.
func (t *tracer) walk(ctx context.Context) error {
	plan, protocol, err := t.h.store.ReleasePlan(ctx, t.trace.Release)
	if err != nil {
		return err
	}
	if t.study, err = t.h.study(plan.Study); err != nil {
		return err
	}
	if protocol != t.study.Digest {
		if !t.key.ByID() {
			return &study.Error{Code: "lineage.protocol_changed", Op: "the study document has changed since release " + plan.ID + ": rows may be numbered otherwise now", Exit: study.ExitUsage,
				Hint: "name the row by its record_id, visit_id or participant_id, which never change"}
		}
		t.trace.Notes = append(t.trace.Notes, "the study document has changed since the release")
	}
	in, err := t.h.store.SeriesOfRelease(ctx, plan.Study, plan.ID)
	if err != nil {
		return err
	}
	if t.recipient, err = t.h.recipient(t.study, in); err != nil {
		return err
	}
	t.trace.Study, t.trace.AsOf, t.trace.MaxBatch = t.study.Name, plan.AsOf.String(), plan.MaxBatch
	if err := t.resolve(ctx, plan, in.Name); err != nil {
		return err
	}
	if t.trace.Made, err = t.h.store.Made(ctx, t.study.Name, t.row, plan.MaxBatch); err != nil {
		return err
	}
	if err := t.batches(ctx); err != nil {
		return err
	}
	return t.prove(ctx)
}

// resolve finds the participant, lays its rows out as the release did, and finds
// the one that the key names.
func (t *tracer) resolve(ctx context.Context, plan study.ReleasePlan, series string) error {
	builder := release.NewBuilder(t.study, release.Plan{ReleasePlan: plan, Series: series})
	at := slices.IndexFunc(builder.Tables(), func(table *study.Table) bool { return table.Name == t.trace.Table })
	if at < 0 {
		return &study.Error{Code: "lineage.table", Op: "a release of study " + t.study.Name + " has no table of this name", Exit: study.ExitUsage,
			Hint: "use the name of a folder in the release's data folder"}
	}
	snapshot, err := t.h.store.OpenSnapshot(ctx, plan)
	if err != nil {
		return err
	}
	defer snapshot.Close(context.WithoutCancel(ctx))
	p, err := t.participant(ctx, snapshot)
	if err != nil {
		return err
	}
	rows, judged, err := pipeline.Laid(ctx, snapshot, transform.NewRules(t.study), builder, p.ID, plan.AsOf)
	if err != nil {
		return err
	}
	if at >= len(rows) {
		return &study.Error{Code: "lineage.table", Op: "table " + t.trace.Table + " is about no participant: it is made from the documents", Exit: study.ExitUsage,
			Hint: "see lineage_columns.csv in the release"}
	}
	row, err := t.key.Find(rows[at], t.released)
	if err != nil {
		return err
	}
	t.trace.Code = p.Code
	return t.about(ctx, rows[at], row, &judged)
}

// released is door 2 for the ids of a row.
func (t *tracer) released(column, id string) string {
	switch column {
	case "visit_id":
		return t.recipient.VisitID(id)
	case "record_id":
		return t.recipient.RecordID(id)
	}
	return t.recipient.Participant(id)
}

// participant finds whose row it is: released ids lead back only by computing
// those of everybody again.
func (t *tracer) participant(ctx context.Context, s *postgres.Snapshot) (study.Participant, error) {
	everybody, err := s.Participants(ctx)
	if err != nil {
		return study.Participant{}, err
	}
	if id := t.key["participant_id"]; id != "" {
		i := slices.IndexFunc(everybody, func(p study.Participant) bool { return t.recipient.Participant(p.Code) == id })
		if i < 0 {
			return study.Participant{}, lineage.NotReleased(t.trace.Table)
		}
		return everybody[i], nil
	}
	column, id := t.key.ID()
	if id == "" {
		return study.Participant{}, &study.Error{Code: "usage.key", Op: "the key says neither whose row it is nor its id", Exit: study.ExitUsage,
			Hint: "add participant_id=…, or name the record_id alone"}
	}
	for chunk := range slices.Chunk(everybody, 512) {
		numbers := make([]int64, len(chunk))
		for i := range chunk {
			numbers[i] = chunk[i].ID
		}
		histories, err := s.Histories(ctx, numbers)
		if err != nil {
			return study.Participant{}, err
		}
		if i := slices.IndexFunc(histories, func(h study.History) bool { return t.has(&h, column, id) }); i >= 0 {
			return chunk[i], nil
		}
	}
	return study.Participant{}, lineage.NotReleased(t.trace.Table)
}

// has reports whether a visit or record of the history has the released id.
func (t *tracer) has(h *study.History, column, id string) bool {
	code := h.Participant.Code
	if column == "visit_id" {
		return slices.ContainsFunc(h.Visits, func(v study.Visit) bool { return t.recipient.VisitID(release.VisitKey(code, v.No)) == id })
	}
	return slices.ContainsFunc(h.Versions, func(v study.VersionRef) bool {
		return t.recipient.RecordID(release.RecordKey(code, v.Key.VisitNo, t.study.Forms[v.Key.Form].Name, v.Key.Occurrence)) == id
	})
}

// about says what the row is about, by the internal ids in it.
func (t *tracer) about(ctx context.Context, b *study.Batch, row int, judged *study.Judgement) error {
	t.row = postgres.Row{Participant: judged.Participant.ID, Kind: lineage.OfVisit}
	record, visit := lineage.Text(b, "record_id", row), lineage.Text(b, "visit_id", row)
	switch {
	case record != "":
		parts := strings.SplitN(strings.TrimPrefix(record, t.trace.Code+"/"), "/", 3) // an occurrence may have a slash
		t.row.Kind, t.row.Form, t.row.Occurrence = lineage.OfRecord, t.study.FormIndex(parts[1]), parts[2]
		t.row.VisitNo, t.trace.RowID = visitNumber(parts[0]), t.recipient.RecordID(record)
		return nil
	case t.trace.Table == "participants":
		t.row.Kind, t.trace.RowID = lineage.OfParticipant, t.recipient.Participant(t.trace.Code)
		return nil
	case t.trace.Table == "deviations":
		t.row.Kind, t.row.Deviation, t.row.About = lineage.OfDeviation, lineage.Text(b, "deviation", row), lineage.Text(b, "form", row)
	}
	if visit != "" {
		t.row.VisitNo, t.trace.RowID = visitNumber(strings.TrimPrefix(visit, t.trace.Code+"/")), t.recipient.VisitID(visit)
		return nil
	}
	name := lineage.Text(b, "visit", row)
	if name == "" {
		return nil
	}
	var err error
	t.row.VisitNo, err = t.h.store.VisitOfType(ctx, t.row.Participant, name, t.trace.MaxBatch)
	return err
}

func visitNumber(text string) int32 {
	n, _ := strconv.ParseInt(text, 10, 32) // our own id
	return int32(n)
}

// batches looks up what brought the versions, each once.
func (t *tracer) batches(ctx context.Context) error {
	var numbers []int64
	for _, v := range t.trace.Made {
		numbers = append(numbers, v.Batch)
	}
	slices.Sort(numbers)
	for _, number := range slices.Compact(numbers) {
		b, err := t.h.store.TracedBatch(ctx, number, t.h.signer.Policy())
		if err != nil {
			return err
		}
		t.trace.Batches = append(t.trace.Batches, b)
	}
	return t.places(ctx)
}

// prove shows of each version of a record that its batch recorded it.
func (t *tracer) prove(ctx context.Context) error {
	for i := range t.trace.Made {
		v := &t.trace.Made[i]
		if v.Kind != lineage.OfRecord {
			continue
		}
		var err error
		if v.Proof, err = t.h.store.ProveVersion(ctx, t.study.Name, t.row.Participant, *v); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printTrace(t *lineage.Trace) error {
	if a.output != "table" {
		return a.print(t, traceHeader, traceRows(t))
	}
	fmt.Fprintf(a.out, "%s %s %s\n", t.Release, t.Table, t.Key)
	fmt.Fprintf(a.out, "participant %s · as of %s · from the batches up to %d\n\n", t.Code, t.AsOf, t.MaxBatch)
	if err := a.print(t, traceHeader, traceRows(t)); err != nil {
		return err
	}
	for i := range t.Batches {
		a.printBatch(&t.Batches[i])
	}
	for _, v := range t.Made {
		if v.Proof != nil {
			fmt.Fprintf(a.out, "\nversion %d of %s is leaf %d of %d of batch %d: %s\n  leaf  %s\n  root  %s\n", v.Version, v.Form, v.Proof.Index, v.Proof.Leaves, v.Batch,
				map[bool]string{true: "proven", false: "NOT PROVEN"}[v.Proof.Holds], v.Proof.Leaf, v.Proof.Root)
		}
		if v.Text != "" {
			fmt.Fprintf(a.out, "\nline %d of the object of batch %d:\n%s\n", v.Line, v.Batch, onTerminal(v.Text))
		}
	}
	for _, n := range t.Notes {
		fmt.Fprintf(a.out, "\nnote: %s\n", n)
	}
	return nil
}

// onTerminal takes from landed text what would steer a terminal.
func onTerminal(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ReplaceAll(text, "\r\n", "\n"))
}

func (a *app) printBatch(b *lineage.Batch) {
	fmt.Fprintf(a.out, "\nbatch %d, %s, run %d, recorded %s by version %s\n", b.Batch, b.Kind, b.Run, when(&b.Recorded), b.Software)
	if b.Object != "" {
		fmt.Fprintf(a.out, "  object    %s of source %s, %d bytes, %s\n  mapping   %s\n", b.Object, b.Source, b.Size, b.Landed, b.Mapping)
	}
	fmt.Fprintf(a.out, "  protocol  %s, as of %s\n  rows      %d read, %d mapped · records %d produced, %d accepted\n", b.Protocol, b.AsOf, b.Counts.Read, b.Counts.Mapped,
		b.Counts.Produced, b.Counts.Accepted)
	proven := "not proven"
	if b.Event.Proven {
		proven = fmt.Sprintf("proven against the signed log of %d", b.Event.Checkpoint)
	}
	fmt.Fprintf(a.out, "  event     %d, leaf %d of the audit log, %s\n", b.Event.ID, b.Event.Index, proven)
}

var traceHeader = []string{"what", "visit", "form", "occurrence", "version", "batch", "row", "line"}

func traceRows(t *lineage.Trace) [][]string {
	var rows [][]string
	number := func(n int64) string {
		if n == 0 {
			return ""
		}
		return strconv.FormatInt(n, 10)
	}
	for _, v := range t.Made {
		what, visit := v.Kind, v.Visit
		if v.Deviation != "" {
			what = v.Deviation
		}
		if visit == "" {
			visit = number(int64(v.VisitNo))
		}
		rows = append(rows, []string{what, visit, v.Form, v.Occurrence, number(int64(v.Version)), number(v.Batch), number(v.Ordinal), number(v.Line)})
	}
	return rows
}
