# SPDX-License-Identifier: MIT
# Completion of berth for bash. It needs nothing but bash, grep and sed.
# shellcheck shell=bash disable=SC2207 # what is listed has no blanks or patterns in it

# Asks berth with the set-up of the command line so far; silent where it cannot.
_berth_ask() {
	# A service that does not answer must not hold up the command line.
	[[ " ${_berth_setup[*]}" != *' --connect='* ]] || set -- "$@" --timeout=2
	"$_berth_program" "${_berth_setup[@]}" --json "$@" </dev/null 2>/dev/null
}

# The instances that are not masked.
_berth_instances() {
	_berth_ask adapters | grep -o '"name":"[a-z0-9_-]*","state":"[a-z]*"' | grep -v '"masked"$' | cut -d '"' -f 4
}

_berth_runtimes() {
	_berth_ask runtimes | grep -o '"runtime_id":"[A-Za-z0-9_:-]*"' | cut -d '"' -f 4
}

_berth_hosts() {
	_berth_ask hosts --limit 1000 | grep -o '"host_id":"[A-Za-z0-9_:-]*"' | cut -d '"' -f 4
}

_berth_workers() {
	_berth_ask workers --limit 1000 | grep -o "\"runtime_id\":\"$1\",\"worker_id\":\"[A-Za-z0-9_:-]*\"" |
		cut -d '"' -f 8
}

# Puts the words together again that bash has taken apart at = and :.
_berth_words() {
	local line=${COMP_LINE:0:COMP_POINT} i word

	_berth_line=()
	for ((i = 0; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		if [[ ${#_berth_line[@]} -eq 0 || $line == [[:blank:]]* ]]; then
			_berth_line+=("$word")
		else
			_berth_line[${#_berth_line[@]} - 1]+=$word
		fi
		line=${line#"${line%%[![:blank:]]*}"}
		line=${line#"$word"}
	done
}

# The options of a command.
_berth_options() {
	local options='--workspace-root --workspace-id --data-dir --adapters --adapter-dir --require --config-root
		--connect --log-level --json --token-file --ca-file --tls-cert --tls-key --timeout --version --help'

	case $1 in
	conformance) options='--isolated --command --adapter-dir --options --workspace-root --data-dir --check --junit --sanitizer --timeout --list --help' ;;
	new-adapter) options='--help' ;;
	runtimes | hosts) options+=' --limit' ;;
	workers) options+=' --limit --host' ;;
	transcript) options+=' --limit --start' ;;
	events) options+=' --limit --cursor' ;;
	watch) options+=' --limit --interval' ;;
	spawn) options+=' --companion --orchestrator --ticket --role --name --segments --request' ;;
	stop) options+=' --force' ;;
	input) options+=' --system' ;;
	serve) options+=' --socket --listen --tls-client-ca --allow-host --allow-origin
		--max-connections --request-timeout --log-format' ;;
	esac
	printf '%s\n' "$options"
}

_berth_files() {
	compopt -o filenames 2>/dev/null
	COMPREPLY=($(IFS=$'\n' && compgen "$@"))
}

# The argument of an option.
_berth_argument() {
	local option=$1 current=$2 before=''

	case $option in
	--workspace-root | --data-dir | --adapter-dir | --config-root)
		local IFS=$'\n'
		_berth_files -d -- "$current"
		;;
	--socket | --connect | --token-file | --ca-file | --tls-cert | --tls-key | --tls-client-ca)
		local IFS=$'\n'
		_berth_files -f -- "$current"
		;;
	--log-format) COMPREPLY=($(compgen -W 'text json' -- "$current")) ;;
	--log-level) COMPREPLY=($(compgen -W 'debug info warning error' -- "$current")) ;;
	--sanitizer) COMPREPLY=($(compgen -W 'address undefined thread' -- "$current")) ;;
	--check)
		before=$("$_berth_program" conformance --list 2>/dev/null | cut -d ' ' -f 1)
		COMPREPLY=($(compgen -W "$before" -- "$current"))
		;;
	--command) COMPREPLY=($(compgen -c -- "$current")) ;;
	--junit)
		local IFS=$'\n'
		_berth_files -f -- "$current"
		;;
	--role) COMPREPLY=($(compgen -W 'intake orchestrator coder reviewer' -- "$current")) ;;
	--host) COMPREPLY=($(compgen -W "$(_berth_hosts)" -- "$current")) ;;
	--require) COMPREPLY=($(compgen -W "$(_berth_instances)" -- "$current")) ;;
	--adapters)
		[[ $current == *,* ]] && before=${current%,*},
		COMPREPLY=($(compgen -P "$before" -W "$(_berth_instances)" -- "${current##*,}"))
		;;
	esac
}

# The argument of a command; the arguments before it follow the current word.
_berth_operand() {
	local current=$1 commands='runtimes hosts workers worker spawn stop input transcript connect-points events adapters check config batch serve watch conformance new-adapter'

	shift
	case $#:${1-}${2:+:$2} in
	2:adapters:retry) COMPREPLY=($(compgen -W "$(_berth_instances)" -- "$current")) ;;
	0:*) COMPREPLY=($(compgen -W "$commands" -- "$current")) ;;
	1:worker | 1:spawn | 1:stop | 1:input | 1:transcript | 1:connect-points | 1:events)
		COMPREPLY=($(compgen -W "$(_berth_runtimes)" -- "$current"))
		;;
	2:worker:* | 2:stop:* | 2:input:* | 2:transcript:* | 2:connect-points:*)
		COMPREPLY=($(compgen -W "$(_berth_workers "$2")" -- "$current"))
		;;
	1:adapters) COMPREPLY=($(compgen -W 'inspect retry' -- "$current")) ;;
	2:adapters:inspect | 1:conformance)
		local IFS=$'\n'
		_berth_files -f -X '!*.so' -- "$current"
		COMPREPLY+=($(compgen -d -- "$current"))
		;;
	esac
}

_berth() {
	local _berth_line _berth_setup=() _berth_program operands=() option='' word current i literal=''

	COMPREPLY=()
	_berth_words
	_berth_program=${_berth_line[0]/#\~\//$HOME/}
	current=${_berth_line[${#_berth_line[@]} - 1]}
	for ((i = 1; i < ${#_berth_line[@]} - 1; i++)); do
		word=${_berth_line[i]}
		if [[ -n $literal ]]; then
			operands+=("$word")
			continue
		fi
		case $word in
		--) literal=1 ;;
		--workspace-root=* | --workspace-id=* | --data-dir=* | --adapters=* | --adapter-dir=* | --config-root=* | \
			--connect=* | --token-file=* | --ca-file=* | --tls-cert=* | --tls-key=*)
			_berth_setup+=("${word/=\~\//=$HOME/}")
			;;
		--workspace-root | --workspace-id | --data-dir | --adapter-dir | --config-root | --adapters | --require | \
			--log-level | --limit | --host | --ticket | --role | --name | --segments | --request | --start | --cursor | \
			--socket | --listen | --token-file | --tls-cert | --tls-key | --tls-client-ca | --allow-host | \
			--allow-origin | --max-connections | --request-timeout | --log-format | --connect | \
			--ca-file | --timeout | --interval | --options | --check | --junit | --sanitizer | \
			--command)
			if ((i + 1 == ${#_berth_line[@]} - 1)); then
				option=$word
				break
			fi
			i=$((i + 1))
			case $word in
			--workspace-root | --workspace-id | --data-dir | --adapters | --adapter-dir | --config-root | \
				--connect | --token-file | --ca-file | --tls-cert | --tls-key)
				_berth_setup+=("$word=${_berth_line[i]/#\~\//$HOME/}")
				;;
			esac
			;;
		-?*) ;;
		*) operands+=("$word") ;;
		esac
	done
	if [[ -n $option ]]; then
		_berth_argument "$option" "$current"
	elif [[ -z $literal && $current == --*=* ]]; then
		option=${current%%=*}
		current=${current#*=}
		_berth_argument "$option" "$current"
	elif [[ -z $literal && $current == -* ]]; then
		COMPREPLY=($(compgen -W "$(_berth_options "${operands[0]-}")" -- "$current"))
	else
		_berth_operand "$current" "${operands[@]}"
	fi
	# bash replaces only what stands behind the last : of the word.
	if [[ $current == *:* && $COMP_WORDBREAKS == *:* ]]; then
		COMPREPLY=("${COMPREPLY[@]#"${current%:*}:"}")
	fi
}

complete -F _berth berth
