package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"longitude/deid"
	"longitude/internal/config"
	"longitude/internal/keys"
	"longitude/pipeline"
	"longitude/study"
	formatlist "longitude/transform/formats/all"
)

func (a *app) previewCommand() *cobra.Command {
	var rows, objects int
	cmd := &cobra.Command{
		Use: "preview SOURCE", Short: "What a source's rows would become, masked, storing nothing", Args: cobra.ExactArgs(1),
		Long: `Fetches the oldest object of a source and shows its first rows as they arrived, as
they map onto the study and as they would be stored, side by side, with everything
that would be rejected. Needs the configuration and the source, no database.

Values are masked: 9 stands for a digit, A for a letter; codes are shown as they
are, identifiers and private text not at all. Participant codes are made with a
throw-away key and mean nothing afterwards. Nothing is stored or acknowledged.

` + exitCodes,
		Example: "  longitude preview site-a --limit 3\n  longitude preview site-a --objects 7 --output json",
		RunE: func(cmd *cobra.Command, names []string) error {
			if rows < 0 || objects < 1 {
				return &study.Error{Code: "usage.limit", Op: "--limit is below 0 or --objects below 1", Exit: study.ExitUsage, Hint: "name how many rows and objects to show"}
			}
			h, err := a.open(cmd.Context(), needConfig)
			if err != nil {
				return err
			}
			sources, err := h.sources(names)
			if err != nil {
				return err
			}
			return a.preview(cmd.Context(), h, sources[0], objects, rows)
		},
	}
	cmd.Flags().IntVar(&rows, "limit", 5, "rows to show of each object")
	cmd.Flags().IntVar(&objects, "objects", 1, "objects to read, oldest first")
	return cmd
}

func (a *app) preview(ctx context.Context, h *house, src *config.SourceConfig, objects, rows int) error {
	f, err := h.previewFeed(src)
	if err != nil {
		return err
	}
	defer func() { _ = f.Source.Close() }()
	previews, err := pipeline.Show(ctx, f, objects, rows)
	if err != nil {
		return err
	}
	if len(previews) == 0 {
		a.progress("%s: nothing is there to preview; a file counts once it is ready (`ready` of the connector)", src.Name)
	}
	rejected := 0
	for i := range previews {
		p := &previews[i]
		a.progress("%s: object %d, %d bytes: %d rows read = %d mapped + %d quarantined + %d ignored; %d records", src.Name, p.Object, p.Bytes,
			p.Counts.Read, p.Counts.Mapped, p.Counts.RowsQuarantined, p.Counts.Ignored, p.Counts.Produced)
		for _, rule := range slices.Sorted(maps.Keys(p.Rules)) {
			a.progress("  would be rejected by %s: %d", rule, p.Rules[rule])
			rejected += p.Rules[rule]
		}
	}
	if err := a.printPreviews(previews); err != nil {
		return err
	}
	if rejected > 0 {
		return exitWith(study.ExitRejections)
	}
	return nil
}

// previewFeed is a feed that can be shown and not recorded: it has no landing,
// and keys that nothing else will ever have.
func (h *house) previewFeed(src *config.SourceConfig) (*pipeline.Feed, error) {
	s, err := h.study(src.Study)
	if err != nil {
		return nil, err
	}
	intake, err := deid.NewIntake(s, &src.Source, keys.Throwaway(), rand.Reader)
	if err != nil {
		return nil, err
	}
	source, err := h.source(src, intake.NameDigest)
	if err != nil {
		return nil, err
	}
	return &pipeline.Feed{Study: s, Config: &src.Source, Source: source, Format: formatlist.Formats()[src.Format.Type], Intake: intake}, nil
}

// printPreviews prints a line for each thing a shown row says, and then a line
// for each rejection, shown rows or not.
func (a *app) printPreviews(previews []pipeline.Preview) error {
	var rows, rejections [][]string
	for i := range previews {
		p := &previews[i]
		object := strconv.Itoa(p.Object)
		for k := range p.Rows {
			rows = append(rows, previewLines(object, &p.Rows[k])...)
		}
		for _, r := range p.Rejections {
			rejections = append(rejections, append([]string{object}, append(numbers(r.Row, r.Line), or(r.Form, "(row)"), r.Field, r.Rule)...))
		}
	}
	header := []string{"object", "row", "form", "value", "landed", "normalised", "pseudonymised"}
	if err := a.print(previews, header, rows); err != nil || a.output != "table" || len(rejections) == 0 {
		return err
	}
	fmt.Fprintln(a.out)
	return a.print(nil, []string{"object", "row", "line", "form", "field", "rejected by"}, rejections)
}

// previewLines is a row's records value by value; of a row without records, what
// landed.
func previewLines(object string, r *pipeline.PreviewRow) [][]string {
	row := strconv.FormatInt(r.Row, 10)
	if len(r.Records) == 0 {
		var cells []string
		for _, c := range r.Landed {
			cells = append(cells, c.Column+"="+c.Text)
		}
		return [][]string{{object, row, "(none)", "", strings.Join(cells, " "), "", ""}}
	}
	var out [][]string
	for _, rec := range r.Records {
		for _, v := range rec.Values {
			out = append(out, []string{object, row, rec.Form, v.Name, v.Landed, v.Normalised, v.Pseudonymised})
		}
	}
	return out
}
