package postgres

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"longitude/internal/lineage"
	"longitude/study"
)

// partColumns are those of research.record_part, in the order of addPart.
const partColumns = "participant_id, form_id, visit_no, occurrence, version, told, digests"

// addPart keeps what merging needs of a version later.
func (in *Ingest) addPart(v *study.RecordVersion) {
	r, c := v.Record, &in.parts
	if r.Part == nil || !r.InPart() && !r.Part.Derived && len(r.Part.Digests) == 0 {
		return
	}
	c.row(7)
	c.int64(r.Participant)
	c.int16(in.reg.formIDs[v.Key.Form])
	c.int32(v.Key.VisitNo)
	c.text(v.Key.Occurrence)
	c.int32(v.Version)
	if r.InPart() || r.Part.Derived {
		c.text(r.Part.Fields)
	} else {
		c.null()
	}
	if len(r.Part.Digests) == 0 {
		c.null()
		return
	}
	var packed []byte
	for _, d := range r.Part.Digests {
		packed = append(binary.BigEndian.AppendUint16(packed, uint16(int16(d.Field))), d.Digest[:]...)
	}
	c.bytes(packed)
}

func unpackDigests(packed []byte) (out []study.SealedDigest) {
	for ; len(packed) >= 34; packed = packed[34:] {
		out = append(out, study.SealedDigest{Field: int(int16(binary.BigEndian.Uint16(packed))), Digest: study.Digest(packed[2:34])})
	}
	return out
}

// parts marks the versions of which rows told only some fields. Most databases have
// none, and are asked for them once.
func (r *historyReader) parts(ctx context.Context) error {
	if r.inParts == nil {
		var some bool
		if err := r.q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM research.record_part WHERE told IS NOT NULL)`).Scan(&some); err != nil {
			return err
		}
		r.inParts = &some
	}
	if !*r.inParts {
		return nil
	}
	return eachRow(ctx, r.q, `SELECT participant_id, form_id, visit_no, occurrence, version, told = '' FROM research.record_part
		WHERE `+r.condition+` AND told IS NOT NULL AND $1 > 0::bigint`, append([]any{r.upTo}, r.args...), func(c *cells) {
		of := r.place(c.int64())
		form, ok := r.reg.formOf[c.int16()]
		if of < 0 || !ok {
			return
		}
		id := study.VersionRef{Key: study.RecordKey{Form: form, VisitNo: c.int32(), Occurrence: c.word()}, Version: c.int32()}
		derived, h := c.bool(), &r.out[of]
		at, found := slices.BinarySearchFunc(h.Versions, id, func(a, b study.VersionRef) int {
			return cmp.Or(compareKeys(&a.Key, &b.Key), cmp.Compare(a.Version, b.Version))
		})
		if found { // as of the batch in question it was there
			h.InParts, h.Versions[at].InPart, h.Versions[at].Derived = true, !derived, derived
		}
	})
}

// Contents answers what stored versions say, in the order asked, in today's order of
// fields.
func (in *Ingest) Contents(ctx context.Context, versions []study.VersionID) ([]study.VersionContent, error) {
	people, forms, visits := make([]int64, len(versions)), make([]int16, len(versions)), make([]int32, len(versions))
	occurrences, numbers := make([]string, len(versions)), make([]int32, len(versions))
	for i, v := range versions {
		people[i], forms[i], visits[i], occurrences[i], numbers[i] = v.Participant, in.reg.formIDs[v.Key.Form], v.Key.VisitNo, v.Key.Occurrence, v.Version
	}
	rows, err := in.tx.Query(ctx, `
		SELECT k.i, v.shape_id, v.answers, coalesce(v.missing, ''), coalesce(v.findings, ''), coalesce(p.told, ''), p.digests
		FROM unnest($1::bigint[], $2::smallint[], $3::int[], $4::text[], $5::int[]) WITH ORDINALITY k(person, form, visit, occurrence, version, i)
		JOIN research.record_version v ON v.participant_id = k.person AND v.form_id = k.form AND v.visit_no = k.visit
		  AND v.occurrence = k.occurrence COLLATE "C" AND v.version = k.version
		LEFT JOIN research.record_part p ON p.participant_id = k.person AND p.form_id = k.form AND p.visit_no = k.visit
		  AND p.occurrence = k.occurrence COLLATE "C" AND p.version = k.version`, people, forms, visits, occurrences, numbers)
	if err != nil {
		return nil, fault("read what versions say", err)
	}
	out := make([]study.VersionContent, len(versions))
	var i int64
	var shape int32
	var told string
	var c study.VersionContent
	var digests []byte
	_, err = pgx.ForEachRow(rows, []any{&i, &shape, &c.Answers, &c.Missing, &c.Findings, &told, &digests}, func() error {
		c.Fields, c.Digests = study.ParseFieldPlaces(told), unpackDigests(digests)
		if form := versions[i-1].Key.Form; shape != in.reg.shapes[form] {
			order, known := in.reg.orders[shape]
			if !known {
				return &study.Error{Code: "database.study_changed", Op: "study " + in.reg.study.Name + " has been registered with other fields since this process began",
					Hint: "start the process again", Exit: study.ExitEnvironment}
			}
			c.Answers, c.Missing = reorder(c.Answers, c.Missing, order)
			c.Fields, c.Digests = replaced(c.Fields, order), replacedDigests(c.Digests, order)
		}
		out[i-1] = c
		return nil
	})
	return out, fault("read what versions say", err)
}

// replaced are the places of fields in today's order; those that left are left out.
func replaced(fields, order []int) (out []int) {
	for today, was := range order {
		if was >= 0 && slices.Contains(fields, was) {
			out = append(out, today)
		}
	}
	return out
}

func replacedDigests(digests []study.SealedDigest, order []int) (out []study.SealedDigest) {
	for _, d := range digests {
		place := d.Field // a slot that is no field stays
		if place >= 0 {
			place = slices.Index(order, d.Field)
		}
		if place >= 0 || d.Field < 0 {
			out = append(out, study.SealedDigest{Field: place, Digest: d.Digest})
		}
	}
	return out
}

// standsOn are the versions before one whose rows told what its record still says of
// them: none where its own row told all. Of rows that came late, or were read again,
// it may name one too many.
func (r *rowReader) standsOn(ctx context.Context, now lineage.Version, form int16) (out []lineage.Version, err error) {
	rows, err := r.s.app.Query(ctx, `
		SELECT version, op::text, v.modified, v.batch_id, v.ordinal, p.told
		FROM research.record_version v LEFT JOIN research.record_part p USING (participant_id, form_id, visit_no, occurrence, version)
		WHERE participant_id = $1 AND form_id = $2 AND visit_no = $3 AND occurrence = $4 AND version <= $5 AND v.batch_id <= $6 ORDER BY version DESC`,
		r.row.Participant, form, now.VisitNo, now.Occurrence, now.Version, r.upTo)
	if err != nil {
		return nil, err
	}
	var op string
	var modified *time.Time
	var told *string
	known, whole := map[int]bool{}, false
	v := now
	_, err = pgx.ForEachRow(rows, []any{&v.Version, &op, &modified, &v.Batch, &v.Ordinal, &told}, func() error {
		if whole || op == "d" && v.Version < now.Version {
			whole = true
			return nil
		}
		whole = told == nil
		more := whole
		if told != nil {
			for _, field := range study.ParseFieldPlaces(*told) {
				more, known[field] = more || !known[field], true
			}
		}
		if v.Modified = orZero(modified); more && v.Version < now.Version {
			out = append(out, v)
		}
		return nil
	})
	return out, err
}
