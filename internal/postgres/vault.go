package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"longitude/deid"
	"longitude/study"
)

// Draw answers the sealed numbers of the identities, by blind index. The vault
// keeps those of identities that it does not know yet, and answers its own of those
// that it does.
func (in *Ingest) Draw(ctx context.Context, drawn []study.SealedUID) (map[study.Digest][]byte, error) {
	blinds, boxes, versions := make([][]byte, len(drawn)), make([][]byte, len(drawn)), make([]int32, len(drawn))
	for i := range drawn {
		blinds[i], boxes[i], versions[i] = drawn[i].Blind[:], drawn[i].Box, int32(drawn[i].KeyVersion)
	}
	if _, err := in.tx.Exec(ctx, `
		INSERT INTO vault.uid (study_id, blind, key_version, box) SELECT $1, * FROM unnest($2::bytea[], $3::int[], $4::bytea[]) ON CONFLICT DO NOTHING`,
		in.reg.id, blinds, versions, boxes); err != nil {
		return nil, fault("draw participant codes", err)
	}
	rows, err := in.tx.Query(ctx, `SELECT blind, box FROM vault.resolve($1, $2)`, in.reg.id, blinds)
	if err != nil {
		return nil, fault("draw participant codes", err)
	}
	kept := make(map[study.Digest][]byte, len(drawn))
	var blind, box []byte
	_, err = pgx.ForEachRow(rows, []any{&blind, &box}, func() error {
		kept[study.Digest(blind)] = box
		return nil
	})
	return kept, fault("draw participant codes", err)
}

// Erased answers the blind indexes of the study's identities that must not come
// back.
func (in *Ingest) Erased(ctx context.Context) (map[study.Digest]bool, error) {
	rows, err := in.tx.Query(ctx, `SELECT vault.erased_of($1)`, in.reg.id)
	if err != nil {
		return nil, fault("read who was erased", err)
	}
	erased := map[study.Digest]bool{}
	var blind []byte
	_, err = pgx.ForEachRow(rows, []any{&blind}, func() error {
		erased[study.Digest(blind)] = true
		return nil
	})
	return erased, fault("read who was erased", err)
}

// clash refuses identities whose codes are others', or who have other codes: either
// would give a participant the data of another, or data twice.
func (in *Ingest) clash(ctx context.Context, codes []string, ids []study.SealedIdentity) error {
	blinds := make([][]byte, len(ids))
	for i := range ids {
		blinds[i] = ids[i].Blind[:]
	}
	var how string
	if err := in.tx.QueryRow(ctx, `SELECT vault.clash($1, $2)`, codes, blinds).Scan(&how); err != nil {
		return fault("look up participants", err)
	}
	switch how {
	case "collision":
		return deid.Collision(in.reg.study.Name)
	case "recoded":
		return &study.Error{Code: "deid.recoded", Exit: study.ExitBlocked,
			Op:   "study " + in.reg.study.Name + " would give participants new codes; nothing of the object was recorded",
			Hint: "set deidentification.pseudonym back to what the study began with: codes are for good"}
	}
	return nil
}
