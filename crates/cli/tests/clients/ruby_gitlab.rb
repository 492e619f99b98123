# frozen_string_literal: true

# Drives a server with Debian's ruby-gitlab, as a script of a platform team would. launch.py starts the server and a
# receiver.

require 'gitlab'
require 'json'
require 'net/http'

BASE = ENV.fetch('QUICKDRAW_URL')
TOKEN = ENV.fetch('QUICKDRAW_TOKEN')
RECEIVER = ENV.fetch('RECEIVER_URL')
INBOX = "#{RECEIVER}/in"
MISSING = Gitlab::Error::NotFound

def client(token, **options)
  Gitlab.client(endpoint: "#{BASE}/api/v4", private_token: token, **options)
end

def check(is_true, found)
  raise "found #{found.inspect}" unless is_true
end

def same(found, expected)
  check(found == expected, { found: found, expected: expected })
end

def refused(kind, text)
  yield
rescue kind => e
  check(e.message.include?(text), e.message)
else
  raise "not refused with #{kind} #{text}"
end

# Waits for the next request to the receiver and returns its headers and its body.
def delivery
  @received = (@received || -1) + 1
  answer = Net::HTTP.get_response(URI("#{RECEIVER}/#{@received}"))
  same(answer.code, '200')
  request = JSON.parse(answer.body)
  [request['headers'], JSON.parse(request['body'])]
end

def report(project, trigger, object)
  headers = { 'PRIVATE-TOKEN' => TOKEN, 'Content-Type' => 'application/json' }
  address = URI("#{BASE}/api/v1/projects/#{project}/events")
  same(Net::HTTP.post(address, { trigger: trigger, object: object }.to_json, headers).code, '202')
end

# The paths of a list, sorted, because only a test of the order may depend on the order.
def paths(list)
  list.map(&:path).sort
end

def namespaces(api)
  check(api.user.username == 'root' && api.version.version.start_with?('19.'), api.version)
  gear = api.create_group('Gear Works', 'gear')
  sub = api.create_group('Sub Unit', 'sub', parent_id: gear.id)
  same([sub.full_name, sub.full_path, sub.parent_id], ['Gear Works / Sub Unit', 'gear/sub', gear.id])
  refused(Gitlab::Error::BadRequest, "'path' has already been taken") { api.create_group('Other', 'gear') }

  # The library lists namespaces and has no method for one.
  same(api.namespaces(search: 'gear').map(&:full_path).sort, %w[gear gear/sub])
  [sub.id, 'gear%2Fsub'].each do |id|
    found = api.get("/namespaces/#{id}")
    same([found.id, found.kind, found.full_path, found.parent_id], [sub.id, 'group', 'gear/sub', gear.id])
  end
  refused(MISSING, 'Not Found') { api.get('/namespaces/nowhere') }
  taken = api.get('/namespaces/sub/exists', query: { parent_id: gear.id })
  check(taken.exists && !taken.suggests.empty?, taken)
  same(api.get('/namespaces/sub/exists').exists, false)

  refused(Gitlab::Error::BadRequest, "'namespace' is not valid") { api.create_project('Rope', namespace_id: 99_999) }
  rope = api.create_project('Rope', path: 'rope', namespace_id: sub.id)
  rope = api.project('gear/sub/rope').tap { |found| same(found.id, rope.id) }
  same(rope.name_with_namespace, 'Gear Works / Sub Unit / Rope')
  check(rope.ssh_url_to_repo.end_with?('gear/sub/rope.git'), rope)
  space = rope.namespace
  same([space.id, space.path, space.full_path, space.parent_id], [sub.id, 'sub', 'gear/sub', gear.id])
  check(space.web_url.start_with?(BASE), space)

  same(api.transfer_project(rope.id, 'gear').path_with_namespace, 'gear/rope')
  api.transfer_project(rope.id, sub.id)
  same(api.edit_project(rope.id, description: 'Low stretch').description, 'Low stretch')
  same([api.archive_project(rope.id).archived, api.unarchive_project(rope.id).archived], [true, false])
  [gear, sub, rope]
end

TRIGGERS = %i[
  push_events tag_push_events issues_events confidential_issues_events merge_requests_events note_events
  confidential_note_events job_events pipeline_events wiki_page_events deployment_events feature_flag_events
  releases_events milestone_events emoji_events resource_access_token_events
].freeze

def project_hooks(api, rope)
  options = TRIGGERS.to_h { |name| [name, true] }
  hook = api.add_project_hook('gear/sub/rope', INBOX, token: 's3cret', enable_ssl_verification: false, name: 'First',
                              custom_headers: [{ key: 'X-Team', value: 'rope' }], **options)
  hook = api.project_hook(rope.id, hook.id)
  same([hook.url, hook.project_id, hook.name], [INBOX, rope.id, 'First'])
  same(TRIGGERS.map { |name| hook[name.to_s] }.uniq, [true])
  same([hook.enable_ssl_verification, hook.token_present], [false, true])
  same(hook.custom_headers.map(&:to_h), [{ 'key' => 'X-Team' }])

  # An edit keeps the attributes that it does not name. This library sends the URL with every edit.
  hook = api.edit_project_hook(rope.id, hook.id, INBOX, job_events: false, push_events_branch_filter: 'release/*')
  same([hook.job_events, hook.pipeline_events, hook.push_events_branch_filter], [false, true, 'release/*'])
  api.edit_project_hook(rope.id, hook.id, INBOX, push_events_branch_filter: '')
  api.post("/projects/#{rope.id}/hooks/#{hook.id}/test/push_events")
  headers, body = delivery
  same(headers.values_at('X-Gitlab-Event', 'X-Gitlab-Token', 'X-Team'), ['Push Hook', 's3cret', 'rope'])
  same(body.dig('project', 'path_with_namespace'), 'gear/sub/rope')
  same(api.get("/projects/#{rope.id}/hooks/#{hook.id}/events").map(&:response_status), ['200'])

  # The token of a hook is not sent to another URL.
  moved = api.edit_project_hook(rope.id, hook.id, "#{RECEIVER}/other")
  same(moved.token_present, false)
  api.post("/projects/#{rope.id}/hooks/#{hook.id}/test/push_events")
  same(delivery.first['X-Gitlab-Token'], nil)

  24.times { |number| api.add_project_hook(rope.id, "https://example.com/#{number}") }
  same(api.project_hooks(rope.id).auto_paginate.map(&:id).uniq.size, 25)
  last = api.project_hooks(rope.id, per_page: 10).last_page
  same([last.size, last.has_next_page?, last.has_prev_page?], [5, false, true])

  refused(Gitlab::Error::Unprocessable, 'Invalid url given') { api.add_project_hook(rope.id, 'ftp://example.com') }
  refused(Gitlab::Error::BadRequest, 'url is missing') { api.add_project_hook(rope.id, nil) }
  refused(Gitlab::Error::Unprocessable, 'Invalid branch filter given') do
    api.edit_project_hook(rope.id, hook.id, INBOX, push_events_branch_filter: 'a b..c')
  end
  api.delete_project_hook(rope.id, hook.id)
  refused(MISSING, '404 Not found') { api.project_hook(rope.id, hook.id) }
  refused(MISSING, '404 Not found') { api.delete_project_hook(rope.id, hook.id) }
end

# The library has no methods for hooks of groups, so a script makes the requests itself.
def group_hooks(api, gear)
  hook = api.post('/groups/gear/hooks', body: { url: INBOX, subgroup_events: true, releases_events: true })
  one = "/groups/#{gear.id}/hooks/#{hook.id}"
  hook = api.get(one)
  same([hook.group_id, hook.subgroup_events, hook.releases_events, hook.push_events, hook.note_events],
       [gear.id, true, true, true, false])
  hook = api.put(one, body: { note_events: true, subgroup_events: false })
  same([hook.note_events, hook.subgroup_events, hook.releases_events], [true, false, true])
  same(api.get('/groups/gear/hooks').map(&:id), [hook.id])
  same(api.get('/groups/gear%2Fsub/hooks').size, 0)
  api.delete(one)
  refused(MISSING, '404 Not found') { api.get(one) }
end

def system_hooks(api)
  hook = api.add_hook(INBOX, tag_push_events: true, token: 's3cret')
  same([hook.tag_push_events, hook.push_events, hook.repository_update_events], [true, false, true])
  api.put("/hooks/#{hook.id}", body: { tag_push_events: false, push_events: true })
  hook = api.hook(hook.id)
  same([hook.tag_push_events, hook.push_events, hook.url, hook.token_present], [false, true, INBOX, true])
  same(api.hooks.map(&:id), [hook.id])
  same(api.post("/hooks/#{hook.id}").event_name, 'project_create')
  headers, body = delivery
  same([headers['X-Gitlab-Event'], headers['X-Gitlab-Token'], body['event_name']], ['System Hook', 's3cret', 'project_create'])
  api.delete_hook(hook.id)
  refused(MISSING, '404 Not found') { api.hook(hook.id) }
end

# Fields that GitLab's code writes and its documented samples lack.
def bodies(api, rope)
  hook = api.add_project_hook(rope.id, INBOX, push_events: false, deployment_events: true, issues_events: true, note_events: true)
  report(rope.id, 'deployment_hooks', { id: 1, environment: 'production', status: 'success', ref: 'v1.0' })
  same(delivery.last.values_at('object_kind', 'environment', 'ref'), %w[deployment production v1.0])
  reviewer = { id: 6, name: 'J', username: 'j' }
  report(rope.id, 'note_hooks', { id: 1, note: 'Nice', merge_request: { iid: 1, title: 't', reviewers: [reviewer] } })
  same(delivery.last.dig('merge_request', 'reviewer_ids'), [6])
  report(rope.id, 'issue_hooks', { id: 301, iid: 23, title: 'Gate sticks', action: 'open' })
  same(delivery.last.dig('object_attributes', 'severity'), 'unknown')
  api.delete_project_hook(rope.id, hook.id)
end

# Rotates a token and returns the new one. The old one must be refused.
def rotate(api, path, old)
  token = api.post("#{path}/rotate")
  check(token.token != old && token.active && token.expires_at, token.id)
  refused(Gitlab::Error::Unauthorized, '401 Unauthorized') { client(old).user }
  client(token.token).user
  token
end

# The library has no methods for access tokens.
def tokens(api, gear, rope)
  { "/projects/#{rope.id}" => 40, '/groups/gear' => 50 }.each do |scope, level|
    list = "#{scope}/access_tokens"
    made = api.post(list, body: { name: 'ci', scopes: %w[api read_api], access_level: level })
    same([made.scopes, made.access_level], [%w[api read_api], level])
    bot = client(made.token).user
    same([bot.bot, bot.id], [true, made.user_id])
    rotated = rotate(api, "#{list}/#{made.id}", made.token)
    same(api.get("#{list}/#{rotated.id}").scopes, %w[api read_api])
    same(api.get(list).to_h { |token| [token.id, token.active] }, { made.id => false, rotated.id => true })
    same(api.get(list, query: { state: 'active' }).map(&:id), [rotated.id])
    same(client(rotated.token).project_hooks(rope.id, per_page: 100).size, 24)
    api.delete("#{list}/#{rotated.id}")
    refused(Gitlab::Error::Unauthorized, '401 Unauthorized') { client(rotated.token).user }
  end
  reader = api.post('/groups/gear/access_tokens', body: { name: 'reader', scopes: ['read_api'], access_level: 50 })
  refused(Gitlab::Error::Forbidden, 'higher privileges') { client(reader.token).add_project_hook(rope.id, INBOX) }
  api.delete("/groups/#{gear.id}/access_tokens/#{reader.id}")
end

def people(api, gear, rope)
  ida = api.create_user('ida@climb.example', nil, 'ida', name: 'Ida Ridge', reset_password: true)
  refused(Gitlab::Error::Conflict, 'Email has already been taken') do
    api.create_user('IDA@climb.example', nil, 'other', name: 'Other', reset_password: true)
  end
  personal = api.post("/users/#{ida.id}/personal_access_tokens", body: { name: 'script', scopes: %w[api read_api] })
  same(personal.scopes, %w[api read_api])
  rotated = rotate(api, "/personal_access_tokens/#{personal.id}", personal.token)
  same(api.get('/personal_access_tokens', query: { user_id: ida.id, revoked: true }).map(&:id), [personal.id])
  hers = client(rotated.token)

  tape = api.create_project('Tape', namespace_id: gear.id, visibility: 'public')
  other = api.create_group('Other', 'other')
  api.add_team_member(rope.id, ida.id, 30)
  api.add_group_member(other.id, ida.id, 50)
  same(api.edit_team_member(rope.id, ida.id, 20).access_level, 20)
  same([api.team_member(rope.id, ida.id).access_level, api.group_member('other', ida.id).access_level], [20, 50])
  same(api.get("/projects/#{rope.id}/members/all/#{ida.id}").access_level, 20)
  filters(api, hers, gear, rope, tape)

  refused(Gitlab::Error::Forbidden, '403 Forbidden') { hers.project_hooks(rope.id) }
  refused(Gitlab::Error::Forbidden, '403 Forbidden') { hers.hooks }
  refused(MISSING, '404 Group Not Found') { hers.group('gear') }
  same(client(TOKEN, sudo: 'ida').user.username, 'ida')
  # The library keeps `sudo` for all clients until a client is created without it.
  api = client(TOKEN)
  check(api.block_user(ida.id), 'blocked')
  same(api.users(blocked: true).map(&:username), ['ida'])
  refused(Gitlab::Error::Forbidden, 'Your account has been blocked') { hers.user }
  check(api.unblock_user(ida.id), 'no longer blocked')
  same(hers.user.username, 'ida')
  api.remove_team_member(rope.id, ida.id)
  api.delete("/personal_access_tokens/#{rotated.id}")
  refused(Gitlab::Error::Unauthorized, '401 Unauthorized') { hers.user }
  api.delete_user(ida.id)
  refused(MISSING, '404 User Not Found') { api.user(ida.id) }
end

def filters(api, hers, gear, rope, tape)
  same(paths(api.projects), %w[rope tape])
  same(api.projects(order_by: 'id', sort: 'asc').map(&:path), %w[rope tape])
  same(api.projects(order_by: 'id', sort: 'desc').map(&:path), %w[tape rope])
  api.archive_project(tape.id)
  {
    { visibility: 'public' } => ['tape'], { archived: true } => ['tape'], { archived: false } => ['rope'],
    { id_after: rope.id } => ['tape'], { id_before: tape.id } => ['rope'], { membership: true } => [],
    { owned: true } => [], { search: 'rop' } => ['rope'], { starred: false } => %w[rope tape]
  }.each { |filter, expected| same(paths(api.projects(filter)), expected) }
  {
    {} => %w[rope], { membership: true } => ['rope'], { min_access_level: 20 } => ['rope'],
    { min_access_level: 40 } => [], { owned: true } => []
  }.each { |filter, expected| same(paths(hers.projects(filter)) - ['tape'], expected) }
  same(paths(api.project_search('TAP')), ['tape'])
  refused(Gitlab::Error::BadRequest, 'starred') { api.projects(starred: true) }
  refused(Gitlab::Error::BadRequest, 'with_programming_language') { api.projects(with_programming_language: 'ruby') }

  same(paths(api.group_projects('gear')), ['tape'])
  same(paths(api.group_projects('gear', include_subgroups: true)), %w[rope tape])
  same(paths(api.group_projects('gear', include_subgroups: true, archived: false)), ['rope'])
  same(paths(api.groups), %w[gear other sub])
  same(paths(api.groups(top_level_only: true)), %w[gear other])
  same(paths(api.groups(skip_groups: [gear.id])), %w[other sub])
  same(paths(api.group_search('gear')), %w[gear sub])
  same(paths(api.group_subgroups('gear')), ['sub'])
  same(paths(api.get('/groups/gear/descendant_groups')), ['sub'])
  same([paths(hers.groups(owned: true)), paths(hers.groups(min_access_level: 40))], [['other'], ['other']])
  same(hers.namespaces(owned_only: true).map(&:path), ['other'])

  same(api.users(without_project_bots: true).map(&:username).sort, %w[ida root])
  same(api.users(admins: true).map(&:username), ['root'])
  same(api.user_search('ida@climb.example').map(&:username), ['ida'])
  same(api.users(username: 'IDA').map(&:username), ['ida'])
  same(api.team_members(rope.id, query: 'ridge').map(&:username), ['ida'])
  same(api.all_members(rope.id, query: 'nobody').size, 0)
  same(api.team_members(rope.id, user_ids: [1]).size, 0)
end

def clean_up(api, gear, rope)
  api.delete_project(rope.id)
  refused(MISSING, '404 Project Not Found') { api.project(rope.id) }
  api.delete_group(gear.id)
  refused(MISSING, '404 Group Not Found') { api.group('gear/sub') }
end

api = client(TOKEN)
gear, _, rope = namespaces(api)
project_hooks(api, rope)
group_hooks(api, gear)
system_hooks(api)
bodies(api, rope)
tokens(api, gear, rope)
people(api, gear, rope)
clean_up(api, gear, rope)
puts "ruby-gitlab #{Gitlab::VERSION} : all checks passed"
