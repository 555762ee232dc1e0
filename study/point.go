package study

// The commit order of the main job, as named points. A build with the tag
// `crash` kills the process at the point named by LONGITUDE_CRASH; in any other
// build Reached is empty and is compiled away.
const (
	PointReceived       = "receive.committed"       // requests durable in the inbox, nobody answered
	PointAnswered       = "receive.answered"        // a sender was told that its request is durable, nothing landed
	PointLanded         = "ingest.landed"           // object durable in landing, no transaction yet
	PointMidCopy        = "ingest.mid_copy"         // inside the transaction, some chunks copied
	PointBeforeCommit   = "ingest.before_commit"    // everything written, COMMIT not sent
	PointAfterCommit    = "ingest.after_commit"     // committed, nothing else done
	PointBeforeAck      = "ingest.before_ack"       // about to tell the source
	PointSettled        = "settle.before_commit"    // who had news is judged again, COMMIT not sent
	PointMidSeal        = "audit.mid_seal"          // inside the transaction of the seal, places written
	PointBeforeSeal     = "audit.before_commit"     // everything of the seal written, COMMIT not sent
	PointSealed         = "audit.sealed"            // sealed, nothing told
	PointMidPart        = "release.mid_part"        // one part of the release written
	PointPartsBuilt     = "release.parts_built"     // all parts written, gates not run
	PointBeforeApproval = "release.before_approval" // gates passed
	PointMidPublish     = "release.mid_publish"     // some of the release's files are in the sink
	PointBeforeEnvelope = "release.before_envelope" // staged in the sink, envelope not written
	PointAfterEnvelope  = "release.after_envelope"  // visible, not yet recorded as published
	PointErased         = "erase.vault"             // nothing of the person is in the vault, all is still landed
	PointMidErase       = "erase.mid_landing"       // some objects are without the person's rows
	PointBeforeEnd      = "erase.before_end"        // everything is erased, the request is still open
	PointBeforeDelivery = "lineage.before_delivery" // runs have ended, nobody is told of them
)

// Points lists every named point, in order.
var Points = []string{
	PointReceived, PointAnswered,
	PointLanded, PointMidCopy, PointBeforeCommit, PointAfterCommit, PointBeforeAck, PointSettled,
	PointMidSeal, PointBeforeSeal, PointSealed,
	PointMidPart, PointPartsBuilt, PointBeforeApproval, PointMidPublish, PointBeforeEnvelope, PointAfterEnvelope,
	PointErased, PointMidErase, PointBeforeEnd, PointBeforeDelivery,
}
