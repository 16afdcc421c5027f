#!/bin/sh
# A CI job that moves artifacts: the build job stores its folder under the commit, a later job fetches it.
#   artifacts.sh store FOLDER     artifacts.sh fetch FOLDER
# Environment: ARTIFACTS_URL (sparsync://host/root), COMMIT, SPARSYNC_CREDENTIAL; SPARSYNC (the command, default: sparsync).
set -eu

action=${1:?store or fetch} folder=${2:?a folder}
remote=${ARTIFACTS_URL:?}/${COMMIT:?}
: "${SPARSYNC_CREDENTIAL:?}" "${SPARSYNC:=sparsync}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

case $action in
  store) set -- "$folder/" "$remote/" ;;
  fetch) set -- "$remote/" "$folder/" ;;
  *) echo "artifacts.sh: unknown action $action" >&2; exit 1 ;;
esac

# One JSON object a line on stdout; messages for people are on stderr. $SPARSYNC may be several words.
status=0
$SPARSYNC -a --delete --json "$@" > "$log" || status=$?

node - "$log" "$action" <<'JS'
const lines = require('node:fs').readFileSync(process.argv[2], 'utf8').split('\n').filter(Boolean);
const summary = lines.map((line) => JSON.parse(line)).findLast((event) => event.type === 'summary');
if (summary) {
  const { filesTransferred, bytesTransferred } = summary.stats;
  console.log(`${process.argv[3]}: ${filesTransferred} files, ${bytesTransferred} bytes, ${summary.durationMs} ms`);
}
JS
exit "$status"
