package postgres

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"
)

// event is one entry of the audit log. The leaf holds the exact bytes; the
// columns are an index to it.
type event struct {
	Action string         `json:"action"`
	Actor  string         `json:"actor"`
	Object string         `json:"object"`
	Run    int64          `json:"run,omitempty"`
	Detail map[string]any `json:"detail,omitempty"`
}

// record appends an event inside the transaction of the work it tells of.
func record(ctx context.Context, tx pgx.Tx, e event) error {
	leaf, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO audit.event (action, actor, object, run_id, leaf) VALUES ($1, $2, $3, $4, $5)`,
		e.Action, e.Actor, e.Object, nullID(e.Run), leaf)
	return err
}

func nullID(id int64) *int64 {
	if id == 0 {
		return nil
	}
	return &id
}
