#!/bin/sh
# SPDX-License-Identifier: MIT
# What bash, zsh and fish themselves offer at the end of command lines; one that is not there is skipped.
# shellcheck disable=SC2016,SC2317 # for those shells to expand; called by name
set -u
# shellcheck source=tests/report.sh
. "$(dirname "$0")/report.sh"
: "${srcdir:?}" "${BERTH:?}" "${BERTH_ADAPTER_DIR:?}"

LC_ALL=C BERTH_CONFIG_ROOT=$scratch/root
# What a shell keeps, it keeps there.
HOME=$scratch XDG_CONFIG_HOME=$scratch XDG_DATA_HOME=$scratch ZDOTDIR=$scratch TERM=dumb
export LC_ALL BERTH_CONFIG_ROOT HOME XDG_CONFIG_HOME XDG_DATA_HOME ZDOTDIR TERM
completion=$(cd "$srcdir/core/completion" && pwd) || exit 1
: >"$scratch/names"
: >"$scratch/lines"

# A row: at the end of LINE, which goes on behind the program, standard input is offered. row NAME LINE
row() {
	# A variable would be that of the pipe which this is a part of.
	sort -u >"$scratch/expected.$(($(wc -l <"$scratch/names") + 1))"
	echo "$1" >>"$scratch/names"
	echo "$BERTH $2" >>"$scratch/lines"
}

# ---- What is to be offered ----

"$BERTH" --help >"$scratch/help" || exit 1
awk '/^For authors/ { on = 1 } /^$/ { on = 0 } on && /^  [a-z]/ { print $1 }' "$scratch/help" >"$scratch/programs"
awk '/^Commands:/ { on = 1 } /^$/ { on = 0 } on && /^  [a-z]/ { print $1 }' "$scratch/help" |
	cat - "$scratch/programs" >"$scratch/commands"
row "the commands" '' <"$scratch/commands"
row "a command that has been begun" 'sp' <<-END
	spawn
END
while read -r command; do
	if grep -qx "$command" "$scratch/programs"; then
		"$BERTH" "$command" --help </dev/null | sed -n 's/^  \(--[a-z-]*\).*/\1/p'
	else
		awk -v command="$command" '
			/^$/ || /^Options/ { on = 1 }
			/^ of / { sub(/^ of /, " "); sub(/:$/, ","); on = index($0, " " command ",") }
			on && /^  --/ { print $1 }' "$scratch/help"
	fi | row "the options of $command" "$command --"
done <"$scratch/commands"
mkdir -p "$scratch/data/pods/kaya"
printf '{"worker_name":"kaya","workspace_root":"/srv/harbour"}\n' >"$scratch/data/pods/kaya/metadata.json"
setup="--adapter-dir $BERTH_ADAPTER_DIR --data-dir=$scratch/data --workspace-root /srv/harbour"
# shellcheck disable=SC2086 # words
"$BERTH" $setup workers | sed -n 's/.*\(local-worker-kaya-[0-9a-f]*\).*/\1/p' >"$scratch/workers"
# shellcheck disable=SC2086
"$BERTH" $setup --json hosts | grep -o '"host_id":"[^"]*"' | cut -d '"' -f 4 >"$scratch/hosts"
printf '%s\n' intake orchestrator coder reviewer | row "the roles" "spawn --role "
printf '%s\n' local-pod embedded remote-reserved | row "the instances" "$setup --require "
echo local-pod | row "an instance behind a comma" "$setup --adapters embedded,lo"
echo local-worker-runtime | row "a runtime" "$setup worker lo"
row "the workers of a runtime" "$setup worker local-worker-runtime " <"$scratch/workers"
row "a worker behind options of the command" "$setup stop --force local-worker-runtime local-worker-k" <"$scratch/workers"
row "the hosts" "$setup workers --host " <"$scratch/hosts"
printf '%s\n' inspect retry | row "what adapters can do" "adapters "
echo embedded.so | row "a plugin to inspect" "adapters inspect $BERTH_ADAPTER_DIR/embedded.s"
"$BERTH" conformance --list | sed -n 's/^\(hosts[^ ]*\) .*/\1/p' | row "the checks that begin so" "conformance --check hosts"
row "nothing, silently, where nothing can be asked" "--adapters none worker " </dev/null

# ---- What is offered ----

# Each writes what is offered at the end of the Nth line to offered.N.
offer_bash() {
	i=0
	while IFS= read -r line; do
		i=$((i + 1))
		# A blank at the end begins a word.
		bash -uc '. "$0" && COMP_WORDS=($1) && COMP_LINE=$1 && [[ $1 != *" " ]] || COMP_WORDS+=("")
			COMP_POINT=${#COMP_LINE} COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) && _berth && printf "%s\n" "${COMPREPLY[@]}"' \
			"$completion/berth.bash" "$line" >"$scratch/offered.$i" 2>&1
	done <"$scratch/lines"
}

offer_fish() {
	timeout 120 fish -c 'source $argv[1]/berth.fish
		set -l i 0
		for line in (cat $argv[2]/lines)
			set i (math $i + 1)
			complete -C $line >$argv[2]/offered.$i 2>&1
		end' "$completion" "$scratch"
}

# It completes at a terminal alone, so an interactive shell is given one, in which whatever is offered passes by.
offer_zsh() {
	cat >"$scratch/.zshrc" <<-'END'
		fpath=($completion $fpath)
		autoload -Uz compinit
		compinit -u -D
		compadd() {
			local -a matches
			# With one of these it only looks what would match.
			if ((! ${argv[(I)-[OAD]]})); then
				builtin compadd -O matches "$@"
				((! $#matches)) || print -rl -- $matches >>$HOME/offered.$berth_row
			fi
			builtin compadd "$@"
		}
		zle -C offer list-choices _main_complete
		zle-line-init() {
			local berth_row=0 line
			for line in "${(@f)$(<$HOME/lines)}"; do
				: >$HOME/offered.$((++berth_row))
				BUFFER=$line CURSOR=$#line
				zle offer
			done
			exit
		}
		zle -N zle-line-init
	END
	completion=$completion timeout 120 zsh -f -c '
		zmodload zsh/zpty && zpty shell "zsh -d -i" && while zpty -r shell; do :; done' >/dev/null
}

for shell in bash zsh fish; do
	if ! command -v $shell >/dev/null; then
		skip "completion in a real $shell" "there is no $shell"
		continue
	fi
	rm -f "$scratch"/offered.*
	offer_$shell
	i=0
	while read -r name; do
		i=$((i + 1))
		# What is said of it, and what stands before, are not meant.
		sed "s/	.*//; s/.*,//; s|^$BERTH_ADAPTER_DIR/||" "$scratch/offered.$i" | sort -u >"$scratch/got"
		sed '/^$/d' "$scratch/got" | diff "$scratch/expected.$i" - >"$scratch/log"
		check $? "$shell offers $name"
	done <"$scratch/names"
done
