//! Whatever a manifest holds: no panic, and every place lies in its text.

use esc_injector::{
    inject::Policy,
    manifest::{
        check::{Input, Manifests},
        report::text,
    },
};
use proptest::prelude::*;

const MANIFEST: &str = "\
# Source: a/b.yaml
kind: Namespace
metadata: {name: shop, labels: {esc.pulumi.com/injection: x}, annotations: {esc.pulumi.com/timeout: é}}
---
kind: CronJob
metadata: {name: c, namespace: shop, annotations: &a {esc.pulumi.com/environment: a/b/c}}
spec:
  jobTemplate:
    spec:
      template:
        metadata:
          annotations:
            <<: *a
            esc.pulumi.com/env.Ä: b[
            esc.pulumi.com/mode.x: 0440
            esc.pulumi.com/config: |2-

               env: {A: 'ü', B: {path: [}}
               files: {x: {path: y, mode: 440}}
        spec:
          containers:
          - {name: app, volumeMounts: [{name: v, mountPath: /esc/bin}]}
";

proptest! {
    #[test]
    fn every_place_lies_in_the_text(
        edits in prop::collection::vec((0.0..1.0f64, 0..12usize, "[-a-z0-9:#,&*|>'\"{}\\[\\] \\t\\r\\né]{0,6}"), 1..4),
    ) {
        let mut characters: Vec<char> = MANIFEST.chars().collect();
        for (at, removed, inserted) in edits {
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some place")]
            let at = (at * characters.len() as f64) as usize;
            let end = (at + removed).min(characters.len());
            characters.splice(at..end, inserted.chars());
        }
        let text: String = characters.into_iter().collect();
        let inputs = [Input { name: None, text: Ok(text.clone()), directory: None }];
        let checked = Manifests::read(&inputs).check(&Policy::default(), "default");
        for finding in &checked.findings {
            let place = finding.place.spot;
            // Of a text with nothing in it.
            let Some(place) = place else { continue };
            let line = text.split('\n').nth(place.line - 1);
            let length = line.map(|line| line.chars().count());
            prop_assert!(length.is_some_and(|length| place.end_column <= length + 1), "{finding:?} in {text:?}");
            prop_assert!(place.column <= place.end_column, "{finding:?} in {text:?}");
        }
        for width in [1, 40, 200] {
            let mut out = Vec::new();
            text::write(&mut out, &checked.findings, &checked.summary, width).unwrap();
            prop_assert!(String::from_utf8(out).is_ok());
        }
    }
}
