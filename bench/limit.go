package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// storedTables are where the rows of participants end up.
var storedTables = []string{
	"research.participant", "research.participant_identity", "research.participant_version", "research.record_version",
	"research.visit_version", "research.deviation_version", "research.hold_version", "vault.identity",
}

// limit copies exactly the rows that a sync stored into empty tables with the
// same indexes in the same database, in one transaction: nothing that stores
// these rows is faster. It is timed twice, the second time as control.
func (r *round) limit(size *Size) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, r.url)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close(ctx) }()
		dumps := make([][]byte, len(storedTables))
		size.Stored = map[string]int64{}
		for i, table := range storedTables {
			var dump bytes.Buffer
			tag, err := conn.PgConn().CopyTo(ctx, &dump, "COPY "+table+" TO STDOUT BINARY")
			if err != nil {
				return err
			}
			dumps[i], size.Stored[table] = dump.Bytes(), tag.RowsAffected()
		}
		for _, measure := range []string{"copy", "copy control"} {
			if err := r.copyAll(ctx, measure, dumps); err != nil {
				return err
			}
		}
		return nil
	}
}

func (r *round) copyAll(ctx context.Context, measure string, dumps [][]byte) error {
	conn, err := pgx.Connect(ctx, r.url)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	sql := "DROP SCHEMA IF EXISTS bare CASCADE; CREATE SCHEMA bare;"
	for i, table := range storedTables {
		sql += fmt.Sprintf("CREATE TABLE bare.t%d (LIKE %s INCLUDING ALL);", i, table)
	}
	if _, err := conn.Exec(ctx, sql); err != nil {
		return err
	}
	cpu, server, started := ownCPU(), serverCPU(r.cluster), time.Now()
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for i, dump := range dumps {
			if _, err := conn.PgConn().CopyFrom(ctx, bytes.NewReader(dump), fmt.Sprintf("COPY bare.t%d FROM STDIN BINARY", i)); err != nil {
				return err
			}
		}
		return nil
	})
	s := Sample{Seconds: time.Since(started).Seconds(), CPU: ownCPU() - cpu, ServerCPU: serverCPU(r.cluster) - server}
	r.sample(measure, s)
	return err
}
