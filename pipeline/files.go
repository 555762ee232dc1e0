package pipeline

import (
	"context"

	"longitude/connectors"
	"longitude/study"
)

// Ledger is what ingest needs to keep of files that are not durable.
type Ledger interface {
	// RefusedFiles are the versions of a source's items that wait for a person.
	RefusedFiles(ctx context.Context, source string) (map[string]string, error)
	// RefuseFile records that a file was refused, and why.
	RefuseFile(ctx context.Context, study, actor string, file study.FileRecord) error
	// RecordFreeze records what stopped a source, once however often the same
	// version of an object is met.
	RecordFreeze(ctx context.Context, study, actor string, f study.Frozen) error
}

// lines are what a delivery that is durable adds to the ledger: its own line and,
// with the last of an archive, that of the archive.
func lines(d connectors.Delivery, run int64) (files []study.FileRecord) {
	own := study.FileRecord{Item: d.Item, Version: d.Version, Size: d.Size, Modified: d.Modified, RunID: run}
	if d.File != nil {
		own.Size, own.SHA256 = d.File()
		files = append(files, own)
	}
	if w := d.Whole; w != nil {
		own.Within = w.Item
		files = append(files, own)
		if w.Last {
			files = append(files, archived(w, run))
		}
	}
	return files
}

func archived(w *connectors.Whole, run int64) study.FileRecord {
	return study.FileRecord{Item: w.Item, Version: w.Version, Size: w.Size, Modified: w.Modified, SHA256: w.Sum, RunID: run}
}

// refuse records that a file can not be taken as it is. The source goes on behind
// it; an archive is refused as a whole, whatever of it is durable.
func (in *Ingester) refuse(ctx context.Context, f *Feed, d connectors.Delivery, out *Outcome, why *study.Error, actor string) error {
	line := study.FileRecord{Item: d.Item, Version: d.Version, Size: d.Size, Modified: d.Modified, RunID: out.Run}
	name := d.Name
	if d.File != nil {
		line.Size, line.SHA256 = d.File()
	}
	if d.Whole != nil {
		line, name = archived(d.Whole, out.Run), d.Whole.Name
	}
	line.Source, line.Code = f.Config.Name, why.Code
	line.SealedName, line.KeyVersion = f.Intake.SealName(name), f.Intake.KeyVersion()
	if err := in.Store.RefuseFile(ctx, f.Study.Name, actor, line); err != nil {
		return err
	}
	in.Log.Warn("a file was refused", "source", f.Config.Name, "code", why.Code, "file", why.Place)
	out.refused[line.Item] = true
	in.tell(f, out, recorded{refused: true, aside: why})
	return nil
}

// counted compares the rows that were read of an object with what its sender says.
func counted(d connectors.Delivery, c study.Counts) error {
	if d.Rows == nil || *d.Rows == c.Read {
		return nil
	}
	return &connectors.Refused{Why: &study.Error{Code: "ingest.row_count", Op: "read a file: it holds another number of rows than its control file says",
		Hint: "ask the sender which of the two is right; nothing of the file was recorded"}}
}
