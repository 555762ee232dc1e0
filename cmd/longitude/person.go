package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"longitude/internal/people"
	"longitude/study"
)

func (a *app) personCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "person", Short: "Who may do what: people, their roles and their keys",
		Long: `A person has an id that is never given to somebody else, the name that stands beside
their signatures, roles, and a key of their own in a file that their passphrase opens.
Longitude keeps the public half. The first person is added by whoever installs it, and
is an admin; whoever comes after is added by an admin's signature, and so is each
change of roles. Each signing asks for the passphrase again.

Roles: ` + people.RoleNames() + `.

` + exitCodes}
	cmd.AddCommand(a.personAddCommand(), a.personListCommand(), a.personRolesCommand("grant", "Give a person roles", true),
		a.personRolesCommand("revoke", "Take roles from a person", false), a.personRekeyCommand(), a.personDeactivateCommand())
	return cmd
}

// keyCost is the work of trying one passphrase of a new key.
var keyCost = people.Cost

// newKey is where a new key goes, and the passphrase that is to open it.
type newKey struct{ out, passphraseFile string }

func newKeyFlags(cmd *cobra.Command) *newKey {
	k := &newKey{}
	cmd.Flags().StringVar(&k.out, "out", "", "file to write the key to, which must not be there (default: ~/.config/longitude/ID.key)")
	cmd.Flags().StringVar(&k.passphraseFile, "new-passphrase-file", "", "file with the passphrase of the new key (or LONGITUDE_NEW_PASSPHRASE; default: asked for)")
	return k
}

// keyMade is a key file that is not written yet; nil = none.
type keyMade struct {
	path string
	file []byte
}

// make makes a key for a person and gives them its public half.
func (k *newKey) make(a *app, p *people.Person) (*keyMade, error) {
	words, err := a.passphrase(p.ID+" (new)", "LONGITUDE_NEW_PASSPHRASE", k.passphraseFile)
	if err != nil {
		return nil, err
	}
	path, err := keyPath(k.out, p.ID)
	if err != nil {
		return nil, err
	}
	file, key, err := people.NewKey(p.ID, words, keyCost)
	if err != nil {
		return nil, err
	}
	p.Public, p.Recipient = key.Public(), key.Recipient()
	return &keyMade{path, file}, nil
}

// write writes a key file that only its owner can read, and never over another.
func (k *keyMade) write() error {
	if k == nil {
		return nil
	}
	unwritable := func(hint string) error {
		return &study.Error{Code: "people.key_unwritten", Op: "cannot write the key file", Exit: study.ExitEnvironment, Hint: hint}
	}
	if err := os.MkdirAll(filepath.Dir(k.path), 0o700); err != nil {
		return unwritable("name a folder that this user may write to with --out")
	}
	f, err := os.OpenFile(k.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return unwritable("name a file that is not there yet, in a folder that this user may write to, with --out")
	}
	_, err = f.Write(k.file)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(k.path)
		return unwritable("make room, and try again")
	}
	return nil
}

func rolesOf(names []string) []people.Role {
	roles := make([]people.Role, len(names))
	for i, n := range names {
		roles[i] = people.Role(n)
	}
	slices.Sort(roles)
	return slices.Compact(roles)
}

func (a *app) personAddCommand() *cobra.Command {
	var p people.Person
	var roles []string
	cmd := &cobra.Command{
		Use: "add ID", Short: "Add a person, with a key of their own", Args: cobra.ExactArgs(1),
		Example: "  longitude person add ada --printed-name \"Ada Berg\" --role admin\n  longitude person add cleo --printed-name \"Dr Cleo Rossi\" --role custodian --as ada",
		Long:    "Makes the person's key under a passphrase of their own: let them type it. The first\nperson must be an admin and needs no signature.",
	}
	pen, key := signFlags(cmd), newKeyFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p.ID, p.Version, p.Roles, p.Active = args[0], 1, rolesOf(roles), true
		return a.withAudit(cmd, func(ctx context.Context, h *house) error {
			made, err := key.make(a, &p)
			if err == nil {
				err = h.putPerson(ctx, pen, &p, made, "I add "+p.PrintedName+" ("+p.ID+") with the roles: "+roleList(p.Roles)+".")
			}
			return err
		})
	}
	cmd.Flags().StringVar(&p.PrintedName, "printed-name", "", "name as it stands beside signatures (required)")
	cmd.Flags().StringSliceVar(&roles, "role", nil, "role, of "+people.RoleNames())
	return cmd
}

// putPerson has an admin sign the version of a person, unless it is the first of all,
// writes the key file if there is a new one, records the version and prints it.
func (h *house) putPerson(ctx context.Context, p *pen, next *people.Person, made *keyMade, text string) error {
	if err := next.Check(); err != nil {
		return err
	}
	all, err := h.store.People(ctx)
	if err != nil {
		return err
	}
	var sig *people.Signature
	if len(all) > 0 {
		if sig, err = h.sign(ctx, p, people.Approval, next.Record(), text); err != nil {
			return err
		}
	}
	actor, err := whoever()
	if err == nil {
		err = made.write() // first: a person whose key was never written would be lost
	}
	if err != nil {
		return err
	}
	if err := h.store.PutPerson(ctx, *next, sig, actor); err != nil {
		if made != nil && !study.IsTemporary(err) {
			_ = os.Remove(made.path) // nobody's
		}
		return err
	}
	return h.a.printPeople([]people.Person{*next})
}

func roleList(roles []people.Role) string {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return strings.Join(names, ", ")
}

func (a *app) printPeople(all []people.Person) error {
	items, rows := []personItem{}, [][]string{}
	for _, p := range all {
		items = append(items, personItem{p, p.Fingerprint()})
		rows = append(rows, []string{p.ID, p.PrintedName, roleList(p.Roles), yes(p.Active), p.Fingerprint()})
	}
	return a.print(items, []string{"person", "printed name", "roles", "active", "key"}, rows)
}

type personItem struct {
	people.Person
	Fingerprint string `json:"fingerprint"`
}

func (a *app) personListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List everybody, with roles and the fingerprint of their key", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withAudit(cmd, func(ctx context.Context, h *house) error {
				all, err := h.store.People(ctx)
				if err != nil {
					return err
				}
				return a.printPeople(all)
			})
		},
	}
}

// changePerson records the next version of a person, as change makes it.
func (a *app) changePerson(cmd *cobra.Command, p *pen, id string, change func(next *people.Person) (text string, made *keyMade, err error)) error {
	return a.withAudit(cmd, func(ctx context.Context, h *house) error {
		next, err := h.store.Person(ctx, id)
		if err != nil {
			return err
		}
		next.Version++
		text, made, err := change(&next)
		if err != nil {
			return err
		}
		return h.putPerson(ctx, p, &next, made, text)
	})
}

func (a *app) personRolesCommand(use, short string, give bool) *cobra.Command {
	var names []string
	cmd := &cobra.Command{Use: use + " ID", Short: short, Args: cobra.ExactArgs(1), Example: "  longitude person " + use + " cleo --role auditor --as ada"}
	p := signFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.changePerson(cmd, p, args[0], func(next *people.Person) (string, *keyMade, error) {
			roles, before := rolesOf(names), len(next.Roles)
			next.Roles = slices.DeleteFunc(slices.Clone(next.Roles), func(r people.Role) bool { return slices.Contains(roles, r) })
			changes, text := len(next.Roles) < before, "I take from "
			if give {
				changes, text = before-len(next.Roles) < len(roles), "I give "
				next.Roles = append(next.Roles, roles...)
				slices.Sort(next.Roles)
			}
			if !changes {
				return "", nil, &study.Error{Code: "usage.role", Op: "no role is named, or nothing would change", Exit: study.ExitUsage, Hint: "name with --role some of: " + people.RoleNames()}
			}
			return text + next.PrintedName + " (" + next.ID + ") the roles: " + roleList(roles) + ".", nil, nil
		})
	}
	cmd.Flags().StringSliceVar(&names, "role", nil, "role, of "+people.RoleNames())
	return cmd
}

func (a *app) personRekeyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "rekey ID", Short: "Give a person a new key, when the passphrase is forgotten or the key is lost", Args: cobra.ExactArgs(1),
		Long: "What was signed with the old key stays valid; nothing more can be signed with it."}
	p, key := signFlags(cmd), newKeyFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.changePerson(cmd, p, args[0], func(next *people.Person) (string, *keyMade, error) {
			made, err := key.make(a, next)
			return "I give " + next.PrintedName + " (" + next.ID + ") a new key.", made, err
		})
	}
	return cmd
}

func (a *app) personDeactivateCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "deactivate ID", Short: "Let a person act no more, for good", Args: cobra.ExactArgs(1)}
	p := signFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return a.changePerson(cmd, p, args[0], func(next *people.Person) (string, *keyMade, error) {
			next.Active = false
			return "I let " + next.PrintedName + " (" + next.ID + ") act no more.", nil, nil
		})
	}
	return cmd
}
