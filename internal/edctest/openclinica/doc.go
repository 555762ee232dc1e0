// Package openclinica is OpenClinica for tests and the demo, as 3.x (and LibreClinica)
// with its login page and sessions, or as 4 with its tokens: one study with sites, its
// metadata, and its clinical data as ODM with OpenClinica's own attributes. It was
// written from what is known of the services, not from our connector.
package openclinica
