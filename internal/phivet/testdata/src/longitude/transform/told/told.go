package told

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"longitude/connectors"
	"longitude/study"
	"longitude/transform"
)

func logged(log *slog.Logger, rows *transform.Rows, d study.Draft, all []study.Record) {
	log.Debug("row", "cells", rows.Cells)                        // want `transform.Rows.Cells must not be in a log`
	log.Info("rows", "rows", rows)                               // want `transform.Rows must not be in a log`
	slog.Warn("draft", "draft", d)                               // want `study.Draft must not be in a log`
	slog.Error("who", slog.String("who", d.Identity))            // want `study.Draft.Identity must not be in a log`
	log.Info("records", "all", all)                              // want `study.Record must not be in a log`
	log.Info("answers", "of", strings.TrimSpace(all[0].Answers)) // want `study.Record.Answers must not be in a log`
	log.Info("rows", "first", rows.First, "rows", rows.Len(), "line", d.Line, "cells", len(rows.Cells))
}

func wrapped(text []byte, p *study.PrivateItem, in connectors.Delivery) error {
	if len(text) > 9 {
		return fmt.Errorf("what is %s", text) // want `bytes as landed must not be in an error`
	}
	if len(text) > 8 {
		return errors.New("no " + string(text[1:])) // want `bytes as landed must not be in an error`
	}
	if p.Field > 0 {
		return &study.Error{Code: "a.b", Op: "read " + p.Text} // want `study.PrivateItem.Text must not be in an error`
	}
	name := in.Name
	if name == "" {
		return &study.Error{Code: "a.b", Op: "read " + in.Item, Place: fmt.Sprint(p.Field, len(text))}
	}
	return &study.Error{Code: "a.b", Op: "read", Place: name} // want `connectors.Delivery.Name must not be in an error`
}

func parsed(text string, cells [][]byte) error {
	n, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("not a number: %w", err) // want `an error of strconv, which quotes its input, must not be in an error`
	}
	if _, err := time.Parse(time.DateOnly, text); err != nil {
		return &study.Error{Code: "a.b", Err: err} // want `an error of time, which quotes its input, must not be in an error`
	}
	var v any
	if err := json.Unmarshal(cells[0], &v); err != nil {
		return errors.New(err.Error()) // want `an error of encoding/json, which quotes its input, must not be in an error`
	}
	err = close()
	return fmt.Errorf("row %d: %w", n, err)
}

func close() error { return nil }

func counted(c *prometheus.CounterVec, rows *transform.Rows) {
	for _, cell := range rows.Row(0) {
		c.WithLabelValues(string(cell)) // want `transform.Rows.Row must not be in the label of a metric`
	}
	c.WithLabelValues("visits")
}

func panicked(d *study.Draft) {
	if d.Line < 0 {
		panic("line of nothing")
	}
	panic(d.Raw) // want `study.Draft.Raw must not be in a panic`
}
