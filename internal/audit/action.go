package audit

import "slices"

// Action is what was done. The vocabulary is closed: an event with any other is
// not recorded, so whoever reads the log can know all of it.
type Action string

// The vocabulary, by what it is about.
const (
	BatchRecorded Action = "batch.recorded" // an object was read, or participants were judged again; carries counts and the root over all it changed or refused
	StudyJudged   Action = "study.judged"   // a study was judged on an as-of date

	ConfigRecorded Action = "config.recorded" // a document ran for the first time
	ConfigPlanned  Action = "config.planned"  // changes to documents were compared with what is in force
	ConfigApplied  Action = "config.applied"  // documents were put in force or taken out
	SchemaMigrated Action = "schema.migrated" // the database was brought to another version
	SchemaAccepted Action = "schema.accepted" // a new shape of a source was let in

	DecisionExplain     Action = "decision.explain"      // a deviation was explained
	DecisionWaive       Action = "decision.waive"        // a quarantined row was waived
	DecisionLock        Action = "decision.lock"         // data were locked
	DecisionUnlock      Action = "decision.unlock"       // a lock was lifted
	DecisionAcceptShape Action = "decision.accept_shape" // a person let a new shape of a source in
	DecisionLink        Action = "decision.link"         // two participants were said to be one person
	DecisionUnlink      Action = "decision.unlink"       // a link was taken back
	DecisionWithdraw    Action = "decision.withdraw"     // a participant withdrew
	DecisionDistinct    Action = "decision.distinct"     // two identifiers were said to be two people

	SourceFrozen   Action = "source.frozen"   // an object of another shape stopped its source: nothing of it is recorded
	WebhookRefused Action = "webhook.refused" // what a sender pushed was not taken, as often as the event says
	FileRefused    Action = "file.refused"    // a file of a source was not taken: nothing of it is recorded
	FileRetried    Action = "file.retried"    // somebody asked for a file again

	ReleasePlanned   Action = "release.planned"   // what a release is built from was pinned
	ReleaseApproved  Action = "release.approved"  // a person approved a release
	ReleasePublished Action = "release.published" // a release became visible in a sink
	ReleaseRetracted Action = "release.retracted" // a release was declared not to be used
	ExportMade       Action = "export.made"       // a copy of data or of this log left the system

	AccessGranted Action = "access.granted" // somebody was given a role
	AccessRevoked Action = "access.revoked" // a role was taken away
	AccessDenied  Action = "access.denied"  // somebody was refused what they asked for
	AccessLogin   Action = "access.login"   // somebody proved who they are

	IdentityUnsealed Action = "identity.unsealed" // a sealed identity was opened
	RecordViewed     Action = "record.viewed"     // somebody looked at a row as it was landed, or at sealed words of a record

	VaultRequested  Action = "vault.requested"   // somebody asked to open or to erase identities
	VaultApproved   Action = "vault.approved"    // somebody else agreed
	VaultDenied     Action = "vault.denied"      // somebody else refused
	VaultExpired    Action = "vault.expired"     // nobody answered, or nobody ran it, in time
	VaultStarted    Action = "vault.started"     // an erasure began; it can be taken up again
	VaultExecuted   Action = "vault.executed"    // identities were opened, or are erased
	VaultBrokeGlass Action = "vault.broke_glass" // identities may be opened without a second person
	VaultReviewed   Action = "vault.reviewed"    // somebody else looked at that afterwards

	KeyCreated   Action = "key.created"   // a key came into use
	KeyRotated   Action = "key.rotated"   // a new version of a key came into use
	KeyRewrapped Action = "key.rewrapped" // keys were wrapped again by a key encryption key; none changed
	KeyResealed  Action = "key.resealed"  // what the vault holds was sealed again under the newest key

	SeriesOpened  Action = "series.opened"  // a release series was opened: releases have new ids from now on
	SeriesRevoked Action = "series.revoked" // a release series must not be used any more

	AuditRedacted  Action = "audit.redacted"  // the payload of an event was deleted; its commitment stays
	AuditReviewed  Action = "audit.reviewed"  // a review of this log was closed
	SignatureGiven Action = "signature.given" // a person signed a record
	TextReviewed   Action = "text.reviewed"   // a second person signed what texts may be released
)

// Actions is the whole vocabulary, in order of the alphabet.
var Actions = []Action{
	AccessDenied, AccessGranted, AccessLogin, AccessRevoked, AuditRedacted, AuditReviewed, BatchRecorded,
	ConfigApplied, ConfigPlanned, ConfigRecorded,
	DecisionAcceptShape, DecisionDistinct, DecisionExplain, DecisionLink, DecisionLock, DecisionUnlink, DecisionUnlock, DecisionWaive, DecisionWithdraw,
	ExportMade, FileRefused, FileRetried, IdentityUnsealed, KeyCreated, KeyResealed, KeyRewrapped, KeyRotated, RecordViewed, ReleaseApproved, ReleasePlanned, ReleasePublished, ReleaseRetracted,
	SchemaAccepted, SchemaMigrated, SeriesOpened, SeriesRevoked, SignatureGiven, SourceFrozen, StudyJudged, TextReviewed,
	VaultApproved, VaultBrokeGlass, VaultDenied, VaultExecuted, VaultExpired, VaultRequested, VaultReviewed, VaultStarted,
	WebhookRefused,
}

// Known reports whether an action is in the vocabulary.
func (a Action) Known() bool { _, ok := slices.BinarySearch(Actions, a); return ok }
