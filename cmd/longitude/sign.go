package main

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"longitude/internal/audit"
	"longitude/internal/people"
	"longitude/internal/postgres"
	"longitude/study"
)

// pen is who signs at this command line, and with what.
type pen struct{ id, key, passphraseFile string }

// signFlags adds --as, --key and --passphrase-file.
func signFlags(cmd *cobra.Command) *pen {
	p := &pen{}
	cmd.Flags().StringVar(&p.id, "as", os.Getenv("LONGITUDE_PERSON"), "id of the person who signs (or LONGITUDE_PERSON; default: the user who runs this)")
	cmd.Flags().StringVar(&p.key, "key", "", "their key file (default: ~/.config/longitude/ID.key)")
	cmd.Flags().StringVar(&p.passphraseFile, "passphrase-file", "", "file with their passphrase (or LONGITUDE_PASSPHRASE; default: asked for)")
	return p
}

// who is the person who signs.
func (p *pen) who(ctx context.Context, h *house) (people.Person, error) {
	id := p.id
	if id == "" {
		user, err := whoever()
		if err != nil {
			return people.Person{}, err
		}
		id = user
	}
	return h.store.Person(ctx, id)
}

// sign shows a person what they sign, and signs it with their key: whoever does proves
// anew, with the passphrase, who they are. A proof that fails is an event.
func (h *house) sign(ctx context.Context, p *pen, meaning people.Meaning, r people.Record, text string) (*people.Signature, error) {
	if err := h.store.Sealing(ctx); err != nil {
		return nil, h.store.Refused(ctx, p.id, r.Study, r.Type+"/"+r.ID, err)
	}
	who, err := p.who(ctx, h)
	if err != nil {
		return nil, h.store.Refused(ctx, "", r.Study, r.Type+"/"+r.ID, err)
	}
	st := people.DrawUp(&who, meaning, r, text, h.now())
	h.a.progress("%s\n%s of %s %s version %s, sha256 %s…, by %s (%s)", text, meaning, r.Type, r.ID, r.Version, st.RecordSHA256[:16], who.PrintedName, who.ID)
	file, err := readKey(p.key, who.ID)
	if err != nil {
		return nil, err
	}
	words, err := h.a.passphrase(who.ID, "LONGITUDE_PASSPHRASE", p.passphraseFile)
	if err != nil {
		return nil, err
	}
	sig, err := people.Sign(file, words, st, h.now())
	if err != nil {
		return nil, h.store.Refused(ctx, who.ID, r.Study, r.Type+"/"+r.ID, err)
	}
	return &sig, nil
}

// keyPath is where the key of a person lies, unless the command line says otherwise.
func keyPath(given, id string) (string, error) {
	if given != "" {
		return given, nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", &study.Error{Code: "people.key_missing", Op: "this user has no folder for their configuration", Exit: study.ExitUsage, Hint: "name the key file on the command line"}
	}
	return filepath.Join(dir, "longitude", id+".key"), nil
}

func readKey(given, id string) ([]byte, error) {
	path, err := keyPath(given, id)
	if err != nil {
		return nil, err
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, &study.Error{Code: "people.key_missing", Op: "cannot read the key file of " + id, Exit: study.ExitUsage, Hint: "name it with --key"}
	}
	return file, nil
}

// passphrase is that of a person, from a file, the environment, or the terminal,
// which does not show it.
func (a *app) passphrase(of, variable, file string) (string, error) {
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", &study.Error{Code: "usage.passphrase", Op: "cannot read the file with the passphrase", Exit: study.ExitUsage, Hint: "name a file that this user may read"}
		}
		return strings.TrimRight(string(text), "\r\n"), nil
	}
	if words := os.Getenv(variable); words != "" {
		return words, nil
	}
	terminal := int(os.Stdin.Fd())
	if !term.IsTerminal(terminal) {
		return "", &study.Error{Code: "usage.passphrase", Op: "nobody is there to be asked for the passphrase of " + of, Exit: study.ExitUsage,
			Hint: "run this in a terminal, set " + variable + ", or name a file with it"}
	}
	_, _ = a.err.Write([]byte("Passphrase of " + of + ": "))
	words, err := term.ReadPassword(terminal)
	_, _ = a.err.Write([]byte("\n"))
	if err != nil {
		return "", &study.Error{Code: "usage.passphrase", Op: "the passphrase cannot be read from the terminal", Exit: study.ExitUsage, Hint: "try again"}
	}
	return string(words), nil
}

func (a *app) signatureCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "signature", Short: "Who signed what, when and meaning what"}
	cmd.AddCommand(a.signatureListCommand(), a.signatureShowCommand(), a.signatureVerifyCommand())
	return cmd
}

// signatureItem is a signature as it is shown: always with name, time, meaning and record.
type signatureItem struct {
	ID        int64            `json:"signature"`
	Valid     bool             `json:"valid"`
	Rendered  string           `json:"rendered"`
	Statement people.Statement `json:"statement"`
	Envelope  any              `json:"dsse,omitempty"`
}

func asShown(g *postgres.StoredSignature) signatureItem {
	st, err := g.Verify()
	if err != nil {
		st, _ = people.ReadStatement(g.Signature)
	}
	return signatureItem{ID: g.ID, Valid: err == nil, Rendered: st.String(), Statement: st}
}

func (a *app) printSignatures(all []postgres.StoredSignature) error {
	items, rows := []signatureItem{}, [][]string{}
	for i := range all {
		g := asShown(&all[i])
		st := g.Statement
		items = append(items, g)
		rows = append(rows, []string{strconv.FormatInt(g.ID, 10), st.PrintedName, st.Times(), string(st.Meaning), st.RecordType + " " + st.RecordID, st.RecordVersion,
			st.Prefix(), validity(g.Valid)})
	}
	return a.print(items, []string{"signature", "printed name", "signed at", "meaning", "record", "version", "sha256", "state"}, rows)
}

func validity(valid bool) string {
	if valid {
		return "valid"
	}
	return "NOT VALID"
}

func (a *app) signatureListCommand() *cobra.Command {
	var f postgres.SignatureFilter
	cmd := &cobra.Command{
		Use: "list", Short: "List signatures, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkLimit(f.Limit); err != nil {
				return err
			}
			return a.withAudit(cmd, func(ctx context.Context, h *house) error {
				all, err := h.store.Signatures(ctx, f)
				if err != nil {
					return err
				}
				return a.printSignatures(all)
			})
		},
	}
	cmd.Flags().StringVar(&f.Study, "study", "", "only of this study")
	cmd.Flags().StringVar(&f.Signer, "signer", "", "only by this person")
	cmd.Flags().StringVar(&f.RecordType, "type", "", "only of this type of record, e.g. person")
	cmd.Flags().StringVar(&f.RecordID, "record", "", "only of this record")
	cmd.Flags().IntVar(&f.Limit, "limit", 50, "at most so many")
	return cmd
}

func (a *app) signatureShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show SIGNATURE", Short: "Show a signature with the words that were signed", Args: cobra.ExactArgs(1),
		Long: "Shows who signed, when, with which meaning, and what. With --output json also the DSSE\nenvelope, which holds the exact bytes that were signed.",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := numbered("signature", "longitude signature list", args[0])
			if err != nil {
				return err
			}
			return a.withAudit(cmd, func(ctx context.Context, h *house) error {
				all, err := h.store.Signatures(ctx, postgres.SignatureFilter{ID: id})
				if err != nil {
					return err
				}
				g := asShown(&all[0])
				g.Envelope = all[0].Signature.Envelope(g.Statement.Fingerprint)
				return a.print(g, []string{"signature", "what"}, [][]string{
					{args[0], g.Rendered}, {"", g.Statement.Text}, {"", g.Statement.Fingerprint}, {"", validity(g.Valid)}})
			})
		},
	}
}

func (a *app) signatureVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "verify", Short: "Check every signature, and that everybody came to their roles by right", Args: cobra.NoArgs,
		Long: "Checks each signature against the key that its signer had, and that each version of\neach person was signed by somebody who was an admin then.\n\nExits 0 when all hold, 5 when one does not.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withAudit(cmd, func(ctx context.Context, h *house) error {
				all, err := h.store.Signatures(ctx, postgres.SignatureFilter{})
				if err != nil {
					return err
				}
				wrong, err := h.store.VerifyPeople(ctx)
				if err != nil {
					return err
				}
				for i := range all {
					if _, bad := all[i].Verify(); bad != nil {
						wrong = cmp.Or(wrong, "signature "+strconv.FormatInt(all[i].ID, 10))
					}
				}
				if wrong != "" {
					return &study.Error{Code: "people.tampered", Op: wrong + " does not hold", Exit: study.ExitBlocked,
						Hint: "the database was changed: keep it as evidence, and run `longitude audit verify`"}
				}
				return a.print(map[string]int{"signatures": len(all)}, []string{"signatures", "state"}, [][]string{{strconv.Itoa(len(all)), "valid"}})
			})
		},
	}
}

// attachSignatures adds the signatures of a study, and of none, to a certified copy: as
// people read them, and as the exact bytes that were signed.
func (h *house) attachSignatures(ctx context.Context, out *audit.Export, f postgres.AuditFilter) error {
	all, err := h.store.Signatures(ctx, postgres.SignatureFilter{})
	if err != nil {
		return err
	}
	var rows [][]string
	var lines []any
	for i := range all {
		g := asShown(&all[i])
		st := g.Statement
		at, err := st.Signed()
		if err == nil && (!f.Since.IsZero() && at.Before(f.Since) || !f.Until.IsZero() && !at.Before(f.Until)) || st.Study != "" && st.Study != f.Study {
			continue
		}
		rows = append(rows, []string{strconv.FormatInt(g.ID, 10), st.PrintedName, st.Signer, st.Times(), string(st.Meaning), st.RecordType + " " + st.RecordID, st.RecordVersion,
			st.RecordSHA256, st.Text, validity(g.Valid)})
		lines = append(lines, all[i].Signature.Envelope(st.Fingerprint))
	}
	return out.Attach("signatures", "Signatures", []string{"signature", "printed name", "id", "signed at", "meaning", "record", "version", "sha256", "statement", "state"}, rows, lines)
}
