// Package rave is Rave Web Services for tests and the demo: studies, subjects,
// metadata, clinical views as CSV and ODM, and the clinical audit records. What it
// knows is a list of audits, of which the views are a picture that lags behind until
// it is rebuilt. It was written from what is documented of the service and from the
// requests of rwslib, not from our connector.
package rave
