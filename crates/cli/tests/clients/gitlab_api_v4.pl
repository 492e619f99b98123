#!/usr/bin/perl
# Drives a server with Debian's GitLab::API::v4, as a script of an administrator would. launch.py starts the server and
# a receiver.
use strict;
use warnings;

use GitLab::API::v4;
use HTTP::Tiny;
use JSON;

my ($base, $token, $receiver) = @ENV{qw(QUICKDRAW_URL QUICKDRAW_TOKEN RECEIVER_URL)};
my $inbox    = "$receiver/in";
my $received = 0;
my ($yes, $no) = (JSON::true, JSON::false);

sub client {
    my ($token) = @_;
    return GitLab::API::v4->new(url => "$base/api/v4", private_token => $token);
}

# Ends the program with the calling lines unless two values are equal as JSON.
sub same {
    my ($found, $expected) = @_;
    my $json = JSON->new->canonical->allow_nonref;
    my ($left, $right) = map { $json->encode($_) } $found, $expected;
    return if $left eq $right;
    my @lines = map { (caller $_)[2] // () } 0 .. 2;
    die "GitLab::API::v4 found $left, expected $right, at lines @lines\n";
}

# The library dies with the status and the first 50 characters of the answer. A GET of a missing object returns undef.
sub refused {
    my ($status, $text, $call) = @_;
    my $is_done = eval { $call->(); 1 };
    my $line = (caller)[2];
    die "not refused with $status $text, at line $line\n" if $is_done;
    die "expected $status $text, found $@ at line $line\n" if $@ !~ /\(HTTP $status\).*\Q$text\E/s;
    return;
}

# Makes a request for which the library has no method, or whose method does not return the answer.
sub call {
    my ($method, $path, $content, $token_of_another) = @_;
    my %options = (headers => { 'private-token' => $token_of_another // $token });
    $options{ $method eq 'GET' ? 'query' : 'content' } = $content if defined $content;
    return client($token)->rest_client->request($method, $path, [], \%options);
}

# Waits for the next request to the receiver and returns its headers and its body.
sub delivery {
    my $answer = HTTP::Tiny->new->get("$receiver/$received");
    $received++;
    same($answer->{status}, '200');
    my $request = decode_json($answer->{content});
    return ($request->{headers}, decode_json($request->{body}));
}

sub report {
    my ($project, $trigger, $object) = @_;
    my $headers = { 'PRIVATE-TOKEN' => $token, 'Content-Type' => 'application/json' };
    my $content = encode_json({ trigger => $trigger, object => $object });
    my $answer = HTTP::Tiny->new->post("$base/api/v1/projects/$project/events", { headers => $headers, content => $content });
    same($answer->{status}, '202');
    return;
}

# One attribute of all rows of a list, sorted, because only a test of the order may depend on the order.
sub names {
    my ($attribute, $list) = @_;
    return [sort map { $_->{$attribute} } @$list];
}

sub values_of {
    my ($thing, @attributes) = @_;
    return [@$thing{@attributes}];
}

sub namespaces {
    my ($api) = @_;
    same($api->current_user->{username}, 'root');
    same(substr($api->version->{version}, 0, 3), '19.');

    $api->create_group({ name => 'Gear Works', path => 'gear' });
    my $gear = $api->group('gear');
    $api->create_group({ name => 'Sub Unit', path => 'sub', parent_id => $gear->{id} });
    my $sub = $api->group('gear/sub');
    same(values_of($sub, qw(full_name parent_id)), ['Gear Works / Sub Unit', $gear->{id}]);
    my $again = { name => 'Other', path => 'gear' };
    refused(400, '{"message":{"path":["has already been taken"]}}', sub { $api->create_group($again) });

    for my $id ($sub->{id}, 'gear/sub') {
        my $found = $api->namespace($id);
        same(values_of($found, qw(id kind full_path parent_id)), [$sub->{id}, 'group', 'gear/sub', $gear->{id}]);
    }
    same($api->namespace('nowhere'), undef);
    same(names('full_path', $api->namespaces({ search => 'gear' })), ['gear', 'gear/sub']);
    my $taken = call('GET', 'namespaces/sub/exists', { parent_id => $gear->{id} });
    same($taken->{exists}, $yes);
    same(call('GET', 'namespaces/sub/exists')->{exists}, $no);

    my $nowhere = { name => 'Rope', namespace_id => 99999 };
    refused(400, '{"message":{"namespace":["is not valid"]}}', sub { $api->create_project($nowhere) });
    $api->create_project({ name => 'Rope', path => 'rope', namespace_id => $sub->{id} });
    my $rope = $api->project('gear/sub/rope');
    same($rope->{name_with_namespace}, 'Gear Works / Sub Unit / Rope');
    same($rope->{ssh_url_to_repo} =~ m{gear/sub/rope\.git$} ? 'the right end' : $rope, 'the right end');
    same(values_of($rope->{namespace}, qw(id path full_path parent_id)), [$sub->{id}, 'sub', 'gear/sub', $gear->{id}]);

    $api->transfer_project_to_namespace($rope->{id}, { namespace => 'gear' });
    same($api->project($rope->{id})->{path_with_namespace}, 'gear/rope');
    $api->transfer_project_to_namespace($rope->{id}, { namespace => $sub->{id} });
    $api->edit_project($rope->{id}, { description => 'Low stretch' });
    same(values_of($api->project('gear/sub/rope'), qw(id description)), [$rope->{id}, 'Low stretch']);
    same($api->archive_project($rope->{id})->{archived}, $yes);
    same($api->unarchive_project($rope->{id})->{archived}, $no);
    return ($gear, $rope);
}

my @TRIGGERS = qw(
    push_events tag_push_events issues_events confidential_issues_events merge_requests_events note_events
    confidential_note_events job_events pipeline_events wiki_page_events deployment_events feature_flag_events
    releases_events milestone_events emoji_events resource_access_token_events
);

sub project_hooks {
    my ($api, $rope) = @_;
    my $hook = $api->create_project_hook('gear/sub/rope', {
        url => $inbox, token => 's3cret', enable_ssl_verification => $no, name => 'First',
        custom_headers => [{ key => 'X-Team', value => 'rope' }], map { $_ => $yes } @TRIGGERS,
    });
    $hook = $api->project_hook($rope, $hook->{id});
    same(values_of($hook, qw(url project_id name)), [$inbox, $rope, 'First']);
    same(values_of($hook, @TRIGGERS), [map { $yes } @TRIGGERS]);
    same(values_of($hook, qw(enable_ssl_verification token_present)), [$no, $yes]);
    same($hook->{custom_headers}, [{ key => 'X-Team' }]);

    # An edit keeps the attributes that it does not name.
    my $edit = sub { return $api->edit_project_hook($rope, $hook->{id}, {@_}) };
    my $edited = $edit->(job_events => $no, push_events_branch_filter => 'release/*');
    same(values_of($edited, qw(job_events pipeline_events push_events_branch_filter url)), [$no, $yes, 'release/*', $inbox]);
    $edit->(push_events_branch_filter => '');
    my $test = "projects/$rope/hooks/$hook->{id}/test/push_events";
    call('POST', $test);
    my ($headers, $body) = delivery();
    same(values_of($headers, qw(X-Gitlab-Event X-Gitlab-Token X-Team)), ['Push Hook', 's3cret', 'rope']);
    same($body->{project}{path_with_namespace}, 'gear/sub/rope');

    # The token of a hook is not sent to another URL.
    same($edit->(url => "$receiver/other")->{token_present}, $no);
    call('POST', $test);
    ($headers) = delivery();
    same(values_of($headers, qw(X-Gitlab-Event X-Gitlab-Token)), ['Push Hook', undef]);

    $api->create_project_hook($rope, { url => "https://example.com/$_" }) for 1 .. 24;
    same(scalar @{ $api->project_hooks($rope) }, 20);
    same(scalar @{ call('GET', "projects/$rope/hooks", { page => 2 }) }, 5);

    refused(422, '{"error":"Invalid url given', sub { $api->create_project_hook($rope, { url => 'ftp://example.com' }) });
    refused(400, '{"error":"url is missing"}', sub { $api->create_project_hook($rope, {}) });
    refused(422, '{"error":"Invalid branch filter given', sub { $edit->(push_events_branch_filter => 'a b..c') });
    $api->delete_project_hook($rope, $hook->{id});
    same($api->project_hook($rope, $hook->{id}), undef);
    refused(404, '{"message":"404 Not found"}', sub { $api->delete_project_hook($rope, $hook->{id}) });
    return;
}

# The library has no methods for hooks of groups, so a script makes the requests itself.
sub group_hooks {
    my ($group) = @_;
    my $hook = call('POST', 'groups/gear/hooks', { url => $inbox, subgroup_events => $yes, releases_events => $yes });
    my $one = "groups/$group/hooks/$hook->{id}";
    my @shown = qw(group_id subgroup_events releases_events push_events note_events);
    same(values_of(call('GET', $one), @shown), [$group, $yes, $yes, $yes, $no]);
    $hook = call('PUT', $one, { note_events => $yes, subgroup_events => $no });
    same(values_of($hook, @shown), [$group, $no, $yes, $yes, $yes]);
    same(names('id', call('GET', 'groups/gear/hooks')), [$hook->{id}]);
    same(call('GET', 'groups/gear%2Fsub/hooks'), []);
    call('DELETE', $one);
    same(call('GET', $one), undef);
    return;
}

sub system_hooks {
    my ($api) = @_;
    $api->create_hook({ url => $inbox, tag_push_events => $yes, token => 's3cret' });
    my ($hook) = @{ $api->hooks };
    same(values_of($hook, qw(tag_push_events push_events repository_update_events)), [$yes, $no, $yes]);
    my $one = "hooks/$hook->{id}";
    call('PUT', $one, { tag_push_events => $no, push_events => $yes });
    # The library tests a hook with GET, which only shows the hook. GitLab tests a hook with POST.
    my $shown = $api->test_hook($hook->{id});
    same(values_of($shown, qw(tag_push_events push_events url token_present)), [$no, $yes, $inbox, $yes]);
    same(call('POST', $one)->{event_name}, 'project_create');
    my ($headers, $body) = delivery();
    same(values_of($headers, qw(X-Gitlab-Event X-Gitlab-Token)), ['System Hook', 's3cret']);
    same($body->{event_name}, 'project_create');
    $api->delete_hook($hook->{id});
    same($api->hooks, []);
    same($api->test_hook($hook->{id}), undef);
    return;
}

# Fields that GitLab's code writes and its documented samples lack.
sub bodies {
    my ($api, $rope) = @_;
    my %triggers = (push_events => $no, deployment_events => $yes, issues_events => $yes, note_events => $yes);
    my $hook = $api->create_project_hook($rope, { url => $inbox, %triggers });
    report($rope, 'deployment_hooks', { id => 1, environment => 'production', status => 'success', ref => 'v1.0' });
    my (undef, $body) = delivery();
    same(values_of($body, qw(object_kind environment ref)), [qw(deployment production v1.0)]);
    my $merge_request = { iid => 1, title => 't', reviewers => [{ id => 6, name => 'J', username => 'j' }] };
    report($rope, 'note_hooks', { id => 1, note => 'Nice', merge_request => $merge_request });
    (undef, $body) = delivery();
    same($body->{merge_request}{reviewer_ids}, [6]);
    report($rope, 'issue_hooks', { id => 301, iid => 23, title => 'Gate sticks', action => 'open' });
    (undef, $body) = delivery();
    same($body->{object_attributes}{severity}, 'unknown');
    $api->delete_project_hook($rope, $hook->{id});
    return;
}

# Rotates a token and returns the new one. The old one must be refused.
sub rotate {
    my ($path, $old) = @_;
    my $new = call('POST', "$path/rotate");
    same($new->{active}, $yes);
    same($new->{token} eq $old ? 'the old token' : 'another token', 'another token');
    refused(401, '{"message":"401 Unauthorized"}', sub { client($old)->current_user });
    client($new->{token})->current_user;
    return $new;
}

# The library has no methods for access tokens.
sub tokens {
    my ($api, $rope) = @_;
    for my $scope ("projects/$rope", 'groups/gear') {
        my $list = "$scope/access_tokens";
        my $made = call('POST', $list, { name => 'ci', scopes => [qw(api read_api)], access_level => 40 });
        same(values_of($made, qw(scopes access_level)), [[qw(api read_api)], 40]);
        same(values_of(client($made->{token})->current_user, qw(bot id)), [$yes, $made->{user_id}]);
        my $rotated = rotate("$list/$made->{id}", $made->{token});
        same(call('GET', "$list/$rotated->{id}")->{scopes}, [qw(api read_api)]);
        my %states = map { $_->{id} => $_->{active} } @{ call('GET', $list) };
        same(\%states, { $made->{id} => $no, $rotated->{id} => $yes });
        same(names('id', call('GET', $list, { state => 'active' })), [$rotated->{id}]);
        same(scalar @{ client($rotated->{token})->project_hooks($rope) }, 20);
        call('DELETE', "$list/$rotated->{id}");
        refused(401, '{"message":"401 Unauthorized"}', sub { client($rotated->{token})->current_user });
    }
    my $reader = call('POST', 'groups/gear/access_tokens', { name => 'r', scopes => ['read_api'], access_level => 50 });
    refused(403, 'insufficient_scope', sub { client($reader->{token})->create_project_hook($rope, { url => $inbox }) });
    call('DELETE', "groups/gear/access_tokens/$reader->{id}");
    return;
}

sub people {
    my ($api, $gear, $rope) = @_;
    my %new = (reset_password => $yes, email => 'ida@climb.example');
    $api->create_user({ %new, username => 'ida', name => 'Ida Ridge' });
    my $again = { %new, username => 'other', name => 'Other', email => 'IDA@climb.example' };
    refused(409, '{"message":"Email has already been taken"}', sub { $api->create_user($again) });
    my ($ida) = @{ $api->users({ username => 'IDA' }) };
    my $personal = call('POST', "users/$ida->{id}/personal_access_tokens", { name => 'script', scopes => [qw(api read_api)] });
    same($personal->{scopes}, [qw(api read_api)]);
    my $rotated = rotate("personal_access_tokens/$personal->{id}", $personal->{token});
    same(names('id', call('GET', 'personal_access_tokens', { user_id => $ida->{id}, revoked => 'true' })), [$personal->{id}]);
    my $hers = client($rotated->{token});

    my $tape = $api->create_project({ name => 'Tape', namespace_id => $gear, visibility => 'public' });
    $api->create_group({ name => 'Other', path => 'other' });
    $api->add_project_member($rope, { user_id => $ida->{id}, access_level => 30 });
    $api->add_group_member('other', { user_id => $ida->{id}, access_level => 50 });
    $api->update_project_member($rope, $ida->{id}, { access_level => 20 });
    same($api->project_member($rope, $ida->{id})->{access_level}, 20);
    same($api->group_member('other', $ida->{id})->{access_level}, 50);
    same(call('GET', "projects/$rope/members/all/$ida->{id}")->{access_level}, 20);
    same(names('username', $api->project_users($rope)), ['ida']);
    filters($api, $hers, $gear, $rope, $tape->{id});

    refused(403, '{"message":"403 Forbidden"}', sub { $hers->project_hooks($rope) });
    refused(403, '{"message":"403 Forbidden"}', sub { $hers->hooks });
    same($hers->group('gear'), undef);
    same($api->sudo('ida')->current_user->{username}, 'ida');
    $api->block_user($ida->{id});
    same(names('username', $api->users({ blocked => 'true' })), ['ida']);
    refused(403, '{"message":"403 Forbidden - Your account has been', sub { $hers->current_user });
    $api->unblock_user($ida->{id});
    same($hers->current_user->{username}, 'ida');
    $api->remove_project_member($rope, $ida->{id});
    call('DELETE', "personal_access_tokens/$rotated->{id}");
    refused(401, '{"message":"401 Unauthorized"}', sub { $hers->current_user });
    $api->delete_user($ida->{id});
    same($api->user($ida->{id}), undef);
    return;
}

sub filters {
    my ($api, $hers, $gear, $rope, $tape) = @_;
    my $paths = sub { my ($list) = @_; return names('path', $list) };
    same($paths->($api->paginator('projects', { per_page => 1 })->all), [qw(rope tape)]);
    same([map { $_->{path} } @{ $api->projects({ order_by => 'id', sort => 'asc' }) }], [qw(rope tape)]);
    same([map { $_->{path} } @{ $api->projects({ order_by => 'id', sort => 'desc' }) }], [qw(tape rope)]);
    $api->archive_project($tape);
    my @of_root = (
        [visibility => 'public', 'tape'], [archived => 'true', 'tape'], [archived => 'false', 'rope'],
        [id_after => $rope, 'tape'], [id_before => $tape, 'rope'], [membership => 'true'], [owned => 'true'],
        [search => 'rop', 'rope'], [starred => 'false', 'rope', 'tape'],
    );
    for my $case (@of_root) {
        my ($name, $value, @expected) = @$case;
        same($paths->($api->projects({ $name => $value })), \@expected);
    }
    my @of_hers = ([membership => 'true', 'rope'], [owned => 'true'], [min_access_level => 20, 'rope'], [min_access_level => 40]);
    for my $case (@of_hers) {
        my ($name, $value, @expected) = @$case;
        same($paths->($hers->projects({ $name => $value })), \@expected);
    }
    refused(400, 'starred', sub { $api->projects({ starred => 'true' }) });
    refused(400, 'with_programming_language', sub { $api->projects({ with_programming_language => 'perl' }) });

    same($paths->($api->group_projects('gear')), ['tape']);
    same($paths->($api->group_projects('gear', { include_subgroups => 'true' })), [qw(rope tape)]);
    same($paths->($api->group_projects('gear', { include_subgroups => 'true', archived => 'false' })), ['rope']);
    same($paths->($api->groups), [qw(gear other sub)]);
    same($paths->($api->groups({ top_level_only => 'true' })), [qw(gear other)]);
    same($paths->($api->groups({ 'skip_groups[]' => $gear })), [qw(other sub)]);
    same($paths->($api->group_subgroups('gear')), ['sub']);
    same($paths->(call('GET', 'groups/gear/descendant_groups')), ['sub']);
    same($paths->($hers->groups({ owned => 'true' })), ['other']);
    same($paths->($hers->groups({ min_access_level => 40 })), ['other']);
    same($paths->($hers->namespaces({ owned_only => 'true' })), ['other']);

    same(names('username', $api->users({ without_project_bots => 'true' })), [qw(ida root)]);
    same(names('username', $api->users({ admins => 'true' })), ['root']);
    same(names('username', $api->users({ search => 'ida@climb.example' })), ['ida']);
    same(names('username', $api->project_members($rope, { query => 'ridge' })), ['ida']);
    same($api->all_project_members($rope, { query => 'nobody' }), []);
    same($api->project_members($rope, { 'user_ids[]' => 1 }), []);
    return;
}

sub clean_up {
    my ($api, $gear, $rope) = @_;
    $api->delete_project($rope);
    same($api->project($rope), undef);
    $api->delete_group($gear);
    same($api->group('gear/sub'), undef);
    return;
}

my $api = client($token);
my ($gear, $rope) = map { $_->{id} } namespaces($api);
project_hooks($api, $rope);
group_hooks($gear);
system_hooks($api);
bodies($api, $rope);
tokens($api, $rope);
people($api, $gear, $rope);
clean_up($api, $gear, $rope);
print "GitLab::API::v4 $GitLab::API::v4::VERSION : all checks passed\n";
