// Package redcap is a REDCap server for tests and the demo: one project behind the
// API as REDCap 14 answers it, its refusals and the answers of status 200 that are
// none included. What it does is written from what real servers were seen to do,
// not from what the connector expects.
package redcap
