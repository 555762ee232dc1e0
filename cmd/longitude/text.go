package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"longitude/deid"
	"longitude/internal/people"
	"longitude/internal/postgres"
	"longitude/study"
)

func (a *app) textCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "text", Short: "Read free texts before they are released, and sign that nobody is in them",
		Long: `Texts of a field with ` + "`release: reviewed`" + ` leave once two custodians have read them and
signed that nobody can be recognised in them. Who reads signs for it first, and that is
in the sealed audit log before a text is shown. A text that one of the two refuses stays
sealed. A text of a record that has changed since is read again.

` + exitCodes}
	cmd.AddCommand(a.textListCommand(), a.textShowCommand(), a.textSignCommand())
	return cmd
}

func (a *app) textListCommand() *cobra.Command {
	var studyName string
	cmd := &cobra.Command{
		Use: "list", Short: "List what awaits review, and what came of it", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.inStudy(cmd.Context(), studyName, needReading, func(h *house, s *study.Study) error {
				return h.listTexts(cmd.Context(), s)
			})
		},
	}
	cmd.Flags().StringVar(&studyName, "study", "", "the study, where there are several")
	return cmd
}

// listTexts prints the reviews, and of each field the texts that are in none.
func (h *house) listTexts(ctx context.Context, s *study.Study) error {
	all, err := h.store.TextReviews(ctx, s.Name)
	if err != nil {
		return err
	}
	for _, name := range reviewedFields(s) {
		form, field, _ := strings.Cut(name, ".")
		n, err := h.store.TextsToRead(ctx, s.Name, form, field)
		if err != nil {
			return err
		}
		all = append(all, postgres.TextReviewState{Study: s.Name, Form: form, Field: field, Texts: n, Signers: []string{}, State: "unread"})
	}
	var rows [][]string
	for _, r := range all {
		rows = append(rows, []string{numbers(r.ID)[0], r.Form + "." + r.Field, strconv.FormatInt(r.Texts, 10), strconv.FormatInt(r.Refused, 10), r.State, strings.Join(r.Signers, ", ")})
	}
	return h.a.print(all, []string{"review", "field", "texts", "refused", "state", "signed by"}, rows)
}

// reviewedFields are the fields whose texts leave after review, as form.field.
func reviewedFields(s *study.Study) (names []string) {
	for _, form := range s.Forms {
		for _, field := range form.Fields {
			if field.Release.Action == study.Reviewed {
				names = append(names, form.Name+"."+field.Name)
			}
		}
	}
	return names
}

func (a *app) textShowCommand() *cobra.Command {
	var studyName, field string
	var limit int
	cmd := &cobra.Command{
		Use: "show [REVIEW]", Short: "Read the texts of a review, or of the next one", Args: cobra.MaximumNArgs(1),
		Long: `Shows the texts of a review that somebody drew up. Without a number it shows the first
that you have not answered; if there is none, it draws up texts that nobody has read.

` + exitCodes,
		Example: "  longitude text show --field ae.story --as cleo\n  longitude text show 3 --as carl",
	}
	signer := signFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if limit < 1 || limit > postgres.MaxTexts {
			return &study.Error{Code: "usage.limit", Op: "--limit is not between 1 and " + strconv.Itoa(postgres.MaxTexts), Exit: study.ExitUsage, Hint: "read texts a few at a time"}
		}
		return a.inStudy(cmd.Context(), studyName, needReading, func(h *house, s *study.Study) error {
			r, err := h.textReview(cmd.Context(), s, field, limit, args, signer)
			if err != nil {
				return err
			}
			return h.showTexts(cmd.Context(), r, signer)
		})
	}
	cmd.Flags().StringVar(&studyName, "study", "", "the study, where there are several")
	cmd.Flags().StringVar(&field, "field", "", "of which field, as FORM.FIELD, where there are several")
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many texts, when they are drawn up")
	return cmd
}

// textReview is the review that is named, the first that waits for this person, or a
// new one.
func (h *house) textReview(ctx context.Context, s *study.Study, field string, limit int, args []string, p *pen) (*postgres.TextReview, error) {
	if len(args) == 1 {
		return h.textReviewOf(ctx, s, args[0])
	}
	fields := reviewedFields(s)
	if field == "" && len(fields) == 1 {
		field = fields[0]
	}
	if !slices.Contains(fields, field) {
		return nil, &study.Error{Code: "text.field", Op: "study " + s.Name + " releases no reviewed texts of such a field", Exit: study.ExitUsage,
			Hint: "name one with --field that has `release: reviewed`: " + strings.Join(fields, ", ")}
	}
	form, name, _ := strings.Cut(field, ".")
	who, err := p.who(ctx, h)
	if err != nil {
		return nil, h.store.Refused(ctx, "", s.Name, "text_review", err)
	}
	all, err := h.store.TextReviews(ctx, s.Name)
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if r.State == "open" && r.Form == form && r.Field == name && !slices.Contains(r.Signers, who.ID) {
			return h.textReviewOf(ctx, s, numbers(r.ID)[0])
		}
	}
	r, err := h.store.NewTextReview(ctx, s.Name, form, name, limit)
	if err == nil && len(r.Items) == 0 {
		err = &study.Error{Code: "text.none", Op: "no text of " + field + " awaits review by " + who.ID, Exit: study.ExitUsage, Hint: "`longitude text list` shows what was reviewed, and what waits for somebody else"}
	}
	return &r, err
}

func (h *house) textReviewOf(ctx context.Context, s *study.Study, number string) (*postgres.TextReview, error) {
	id, err := numbered("review", "longitude text list", number)
	if err != nil {
		return nil, err
	}
	r, err := h.store.TextReviewOf(ctx, id)
	if err == nil && r.Study != s.Name {
		err = &study.Error{Code: "text.study", Op: "the review is of another study", Exit: study.ExitUsage, Hint: "name the study with --study"}
	}
	return &r, err
}

// shownText is a text as it is read.
type shownText struct {
	Position int    `json:"position"`
	Code     string `json:"participant"`
	Visit    string `json:"visit"`
	Record   string `json:"record"`
	Text     string `json:"text"`
}

// showTexts shows the texts of a review to somebody who has signed that they read them.
func (h *house) showTexts(ctx context.Context, r *postgres.TextReview, p *pen) error {
	at := h.now().UTC().Truncate(time.Microsecond)
	sig, err := h.sign(ctx, p, people.Responsibility, r.View(at), fmt.Sprintf("I read %s of %s of study %s, to say whether anybody can be recognised in them.", plural(len(r.Items), "text"), r.Form+"."+r.Field, r.Study))
	if err != nil {
		return err
	}
	if err := h.store.ViewTexts(ctx, r, at, *sig); err != nil {
		return err
	}
	who, _ := people.ReadStatement(*sig)
	texts, err := h.openTexts(ctx, r)
	if err != nil {
		return err
	}
	if err := h.drawnUp(ctx, r, texts, who.Signer); err != nil {
		return err
	}
	var shown []shownText
	var rows [][]string
	for i, x := range r.Items {
		shown = append(shown, shownText{i + 1, x.Code, x.Visit, x.Occurrence, texts[i]})
		rows = append(rows, []string{strconv.Itoa(i + 1), x.Code, x.Visit, x.Occurrence, visible(texts[i])})
	}
	h.a.progress("review %d · %s · %s · sha256 %s…", r.ID, r.Form+"."+r.Field, plural(len(texts), "text"), r.Digest().String()[:16])
	return h.a.print(map[string]any{"review": r.ID, "form": r.Form, "field": r.Field, "sha256": r.Digest().String(), "texts": shown},
		[]string{"text", "participant", "visit", "record", "what it says"}, rows)
}

// openTexts opens the texts of a review.
func (h *house) openTexts(ctx context.Context, r *postgres.TextReview) ([]string, error) {
	boxes, err := h.store.SealedTexts(ctx, r)
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(boxes))
	for i, box := range boxes {
		x := &r.Items[i]
		if box == nil {
			return nil, &study.Error{Code: "text.gone", Op: fmt.Sprintf("a text of text_review/%d is gone: somebody was erased", r.ID), Exit: study.ExitBlocked, Hint: "draw the others up again: `longitude text show`"}
		}
		if texts[i], err = deid.OpenPrivate(h.ring, r.Study, x.Participant, r.Form, r.Field, x.Hash, box); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

// drawnUp keeps the marks of texts that are shown for the first time, and compares them
// with those that were kept.
func (h *house) drawnUp(ctx context.Context, r *postgres.TextReview, texts []string, by string) error {
	marker, err := deid.NewTextMarker(h.ring, r.Study)
	if err != nil {
		return err
	}
	first := len(r.Items) > 0 && r.Items[0].Mark == ""
	for i := range r.Items {
		x := &r.Items[i]
		mark := marker.Mark(x.Participant, r.Form, r.Field, texts[i]).String()
		if !first && x.Mark != mark {
			return &study.Error{Code: "text.changed", Op: fmt.Sprintf("text %d of text_review/%d is not the one that was shown", i+1, r.ID), Exit: study.ExitBlocked,
				Hint: "the database was changed: keep it as evidence, and run `longitude audit verify --deep`"}
		}
		x.Mark = mark
	}
	if !first {
		return nil
	}
	return h.store.KeepTextReview(ctx, r, by)
}

// visible is a text in which nothing that steers a terminal is left.
func visible(text string) string {
	var b strings.Builder
	for _, r := range text {
		if unicode.In(r, unicode.Cc, unicode.Cf) {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func (a *app) textSignCommand() *cobra.Command {
	var studyName string
	var refuse []int
	cmd := &cobra.Command{
		Use: "sign REVIEW", Short: "Sign that nobody can be recognised in the texts of a review", Args: cobra.ExactArgs(1),
		Long: `Signs over exactly what you were shown. --refuse names the texts in which somebody can be
recognised: they stay sealed, and are released as missing. The texts are released when a
second person has signed, too, but for those that either of the two refused.

` + exitCodes,
		Example: "  longitude text sign 3 --refuse 7,12 --as cleo",
	}
	signer := signFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.inStudy(cmd.Context(), studyName, needReading, func(h *house, s *study.Study) error {
			r, err := h.textReviewOf(cmd.Context(), s, args[0])
			if err != nil {
				return err
			}
			return h.signTexts(cmd.Context(), r, refuse, signer)
		})
	}
	cmd.Flags().StringVar(&studyName, "study", "", "the study, where there are several")
	cmd.Flags().IntSliceVar(&refuse, "refuse", nil, "texts, by number, in which somebody can be recognised")
	return cmd
}

func (h *house) signTexts(ctx context.Context, r *postgres.TextReview, refused []int, p *pen) error {
	slices.Sort(refused)
	refused = slices.Compact(refused)
	if slices.ContainsFunc(refused, func(n int) bool { return n < 1 || n > len(r.Items) }) {
		return &study.Error{Code: "usage.arguments", Op: "--refuse names a text that the review does not have", Exit: study.ExitUsage, Hint: "the texts of the review are numbered from 1 to " + strconv.Itoa(len(r.Items))}
	}
	texts, err := h.openTexts(ctx, r)
	if err != nil {
		return h.store.Refused(ctx, p.id, r.Study, "text_review/"+numbers(r.ID)[0], err)
	}
	if err := h.drawnUp(ctx, r, texts, ""); err != nil {
		return h.store.Refused(ctx, p.id, r.Study, "text_review/"+numbers(r.ID)[0], err)
	}
	text := fmt.Sprintf("Nobody can be recognised in %s of %s of study %s", plural(len(r.Items)-len(refused), "text"), r.Form+"."+r.Field, r.Study)
	if len(refused) > 0 {
		text += fmt.Sprintf("; in %d others somebody can", len(refused))
	}
	sig, err := h.sign(ctx, p, people.Approval, r.Record(refused), text+".")
	if err != nil {
		return err
	}
	if err := h.store.AnswerTexts(ctx, r.ID, refused, texts, *sig); err != nil {
		return err
	}
	s, err := h.study(r.Study)
	if err != nil {
		return err
	}
	return h.listTexts(ctx, s)
}

// signedTexts lets the texts that two people signed through door 2.
func (h *house) signedTexts(ctx context.Context, s *study.Study, r *deid.Recipient) error {
	if !s.ReviewsTexts() {
		return nil
	}
	signed, err := h.store.SignedTexts(ctx, s.Name)
	if err != nil {
		return err
	}
	for mark, signers := range signed {
		for _, signer := range signers {
			r.Reviewed(mark, signer)
		}
	}
	return nil
}
