// Drives a server with Debian's go-gitlab, as a tool that manages webhooks would. launch.py starts the server and a
// receiver.
//
// Usage: go_gitlab FOLDER_OF_FIXTURES
package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"

	gitlab "github.com/xanzy/go-gitlab"
)

func main() {
	gear, sub, rope := namespaces()
	projectHooks(rope.ID)
	groupHooks(gear.ID)
	systemHooks()
	bodies(rope.ID)
	tokens(rope.ID, gear.ID)
	people(gear, sub, rope)
	cleanUp(gear, rope)
	fmt.Println("go-gitlab: all checks passed; composed bodies read:", samples(os.Args[1]))
}

func namespaces() (*gitlab.Group, *gitlab.Group, *gitlab.Project) {
	root := must(api.Users.CurrentUser())
	check(root.Username == "root" && root.IsAdmin, root)
	version := must(api.Version.GetVersion())
	check(strings.HasPrefix(version.Version, "19."), version)

	gear := must(api.Groups.CreateGroup(&gitlab.CreateGroupOptions{Name: ptr("Gear Works"), Path: ptr("gear")}))
	sub := must(api.Groups.CreateGroup(&gitlab.CreateGroupOptions{
		Name: ptr("Sub Unit"), Path: ptr("sub"), ParentID: ptr(gear.ID),
	}))
	check(sub.FullName == "Gear Works / Sub Unit" && sub.FullPath == "gear/sub" && sub.ParentID == gear.ID, sub)
	_, _, err := api.Groups.CreateGroup(&gitlab.CreateGroupOptions{Name: ptr("Other"), Path: ptr("gear")})
	refused(err, 400, "has already been taken")

	// A tool looks a namespace up by its path before it creates a project there.
	for _, id := range []interface{}{sub.ID, "gear/sub"} {
		found := must(api.Namespaces.GetNamespace(id))
		check(found.ID == sub.ID && found.ParentID == gear.ID && found.Kind == "group" && found.FullPath == "gear/sub", found)
	}
	_, _, err = api.Namespaces.GetNamespace("gear/nowhere")
	refused(err, 404, "Not Found")
	check(must(api.Namespaces.NamespaceExists("gear", nil)).Exists, "gear exists")
	taken := must(api.Namespaces.NamespaceExists("sub", &gitlab.NamespaceExistsOptions{ParentID: ptr(gear.ID)}))
	check(taken.Exists && len(taken.Suggests) > 0, taken)
	check(!must(api.Namespaces.NamespaceExists("sub", nil)).Exists, "sub exists only below gear")
	check(len(must(api.Namespaces.SearchNamespace("gear"))) == 2, "namespaces with gear in their paths")

	_, _, err = api.Projects.CreateProject(&gitlab.CreateProjectOptions{Name: ptr("Rope"), NamespaceID: ptr(99999)})
	refused(err, 400, "namespace: [is not valid]")
	rope := must(api.Projects.CreateProject(&gitlab.CreateProjectOptions{
		Name: ptr("Rope"), Path: ptr("rope"), NamespaceID: ptr(sub.ID),
	}))
	rope = must(api.Projects.GetProject("gear/sub/rope", nil))
	check(rope.NameWithNamespace == "Gear Works / Sub Unit / Rope", rope)
	check(strings.HasSuffix(rope.SSHURLToRepo, "gear/sub/rope.git"), rope)
	space := rope.Namespace
	check(space.ID == sub.ID && space.Path == "sub" && space.FullPath == "gear/sub" && space.ParentID == gear.ID, space)
	check(strings.HasPrefix(space.WebURL, base), space)

	// The group and the project are moved and moved back. A transfer without a target makes a group a top-level group.
	top := must(api.Groups.TransferSubGroup(sub.ID, &gitlab.TransferSubGroupOptions{}))
	check(top.FullPath == "sub" && top.ParentID == 0, top)
	sub = must(api.Groups.TransferSubGroup(sub.ID, &gitlab.TransferSubGroupOptions{GroupID: ptr(gear.ID)}))
	check(sub.FullPath == "gear/sub" && sub.ParentID == gear.ID, sub)
	moved := must(api.Projects.TransferProject(rope.ID, &gitlab.TransferProjectOptions{Namespace: "gear"}))
	check(moved.PathWithNamespace == "gear/rope", moved)
	must(api.Projects.TransferProject(rope.ID, &gitlab.TransferProjectOptions{Namespace: sub.ID}))
	edited := must(api.Projects.EditProject(rope.ID, &gitlab.EditProjectOptions{Description: ptr("Low stretch")}))
	check(edited.Description == "Low stretch" && edited.PathWithNamespace == "gear/sub/rope", edited)
	check(must(api.Projects.ArchiveProject(rope.ID)).Archived, "archived")
	check(!must(api.Projects.UnarchiveProject(rope.ID)).Archived, "no longer archived")
	return gear, sub, rope
}

func projectHooks(project int) {
	yes := ptr(true)
	hook := must(api.Projects.AddProjectHook("gear/sub/rope", &gitlab.AddProjectHookOptions{
		URL: ptr(inbox), Token: ptr("s3cret"), PushEventsBranchFilter: ptr("release/*"), EnableSSLVerification: ptr(false),
		ConfidentialIssuesEvents: yes, ConfidentialNoteEvents: yes, DeploymentEvents: yes, IssuesEvents: yes, JobEvents: yes,
		MergeRequestsEvents: yes, NoteEvents: yes, PipelineEvents: yes, ReleasesEvents: yes, TagPushEvents: yes, WikiPageEvents: yes,
	}))
	hook = must(api.Projects.GetProjectHook(project, hook.ID))
	check(hook.URL == inbox && hook.ProjectID == project && hook.CreatedAt != nil && !hook.EnableSSLVerification, hook)
	check(hook.PushEvents && hook.PushEventsBranchFilter == "release/*", hook)
	check(hook.ConfidentialIssuesEvents && hook.ConfidentialNoteEvents && hook.DeploymentEvents && hook.IssuesEvents, hook)
	check(hook.JobEvents && hook.MergeRequestsEvents && hook.NoteEvents && hook.PipelineEvents, hook)
	check(hook.ReleasesEvents && hook.TagPushEvents && hook.WikiPageEvents, hook)

	// An edit keeps the attributes that it does not name, including the token if the URL stays.
	hook = must(api.Projects.EditProjectHook(project, hook.ID, &gitlab.EditProjectHookOptions{
		URL: ptr(inbox), PushEventsBranchFilter: ptr(""), JobEvents: ptr(false),
	}))
	check(!hook.JobEvents && hook.PipelineEvents && hook.PushEventsBranchFilter == "", hook)
	test := fmt.Sprintf("projects/%d/hooks/%d/test/push_events", project, hook.ID)
	call(http.MethodPost, test, nil, nil)
	event, headers, body := delivery()
	check(headers["X-Gitlab-Event"] == "Push Hook" && headers["X-Gitlab-Token"] == "s3cret", headers)
	push, isPush := event.(*gitlab.PushEvent)
	check(isPush && push.Project.PathWithNamespace == "gear/sub/rope" && push.TotalCommitsCount > 0, string(body))

	// The token of a hook is not sent to another URL.
	must(api.Projects.EditProjectHook(project, hook.ID, &gitlab.EditProjectHookOptions{URL: ptr(receiver + "/other")}))
	call(http.MethodPost, test, nil, nil)
	_, headers, _ = delivery()
	check(headers["X-Gitlab-Event"] == "Push Hook" && headers["X-Gitlab-Token"] == "", headers)

	// A user may test five times per minute. The library repeats a refused request at the time that the answer names.
	var err error
	for tests := 2; tests < 10 && err == nil; tests++ {
		if err = try(http.MethodPost, test, nil, nil); err == nil {
			delivery()
		}
	}
	refusal := refused(err, 429, "too many times")
	check(refusal.Header.Get("RateLimit-Reset") != "" && refusal.Header.Get("Retry-After") != "", refusal.Header)

	for number := 0; number < 24; number++ {
		url := fmt.Sprintf("https://example.com/%d", number)
		must(api.Projects.AddProjectHook(project, &gitlab.AddProjectHookOptions{URL: ptr(url)}))
	}
	found := 0
	page := &gitlab.ListProjectHooksOptions{}
	page.PerPage = 10
	for page.Page = 1; page.Page != 0; {
		hooks, response, err := api.Projects.ListProjectHooks(project, page)
		check(err == nil && response.TotalItems == 25 && response.TotalPages == 3, err, response)
		found += len(hooks)
		page.Page = response.NextPage
	}
	check(found == 25, found)

	_, _, err = api.Projects.AddProjectHook(project, &gitlab.AddProjectHookOptions{URL: ptr("ftp://example.com")})
	refused(err, 422, "Invalid url given")
	_, _, err = api.Projects.AddProjectHook(project, &gitlab.AddProjectHookOptions{})
	refused(err, 400, "url is missing")
	_, _, err = api.Projects.EditProjectHook(project, hook.ID, &gitlab.EditProjectHookOptions{PushEventsBranchFilter: ptr("a b..c")})
	refused(err, 422, "Invalid branch filter given")
	_, err = api.Projects.DeleteProjectHook(project, hook.ID)
	check(err == nil, err)
	_, _, err = api.Projects.GetProjectHook(project, hook.ID)
	refused(err, 404, "404 Not found")
	_, err = api.Projects.DeleteProjectHook(project, hook.ID)
	refused(err, 404, "404 Not found")
}

func groupHooks(group int) {
	hook := must(api.Groups.AddGroupHook("gear", &gitlab.AddGroupHookOptions{
		URL: ptr(inbox), SubGroupEvents: ptr(true), ReleasesEvents: ptr(true), Token: ptr("s3cret"),
	}))
	hook = must(api.Groups.GetGroupHook(group, hook.ID))
	check(hook.GroupID == group && hook.SubGroupEvents && hook.ReleasesEvents && hook.PushEvents && !hook.NoteEvents, hook)
	hook = must(api.Groups.EditGroupHook(group, hook.ID, &gitlab.EditGroupHookOptions{
		URL: ptr(inbox), NoteEvents: ptr(true), SubGroupEvents: ptr(false),
	}))
	check(hook.NoteEvents && !hook.SubGroupEvents && hook.ReleasesEvents, hook)
	hooks := must(api.Groups.ListGroupHooks(group, nil))
	check(len(hooks) == 1 && hooks[0].ID == hook.ID, hooks)
	check(len(must(api.Groups.ListGroupHooks("gear/sub", nil))) == 0, "a subgroup has its own hooks")
	_, err := api.Groups.DeleteGroupHook(group, hook.ID)
	check(err == nil, err)
	_, _, err = api.Groups.GetGroupHook(group, hook.ID)
	refused(err, 404, "404 Not found")
}

func systemHooks() {
	hook := must(api.SystemHooks.AddHook(&gitlab.AddHookOptions{
		URL: ptr(inbox), TagPushEvents: ptr(true), Token: ptr("s3cret"),
	}))
	check(hook.TagPushEvents && !hook.PushEvents && hook.RepositoryUpdateEvents && hook.EnableSSLVerification, hook)
	call(http.MethodPut, fmt.Sprintf("hooks/%d", hook.ID), map[string]bool{"tag_push_events": false, "push_events": true}, nil)
	hook = must(api.SystemHooks.GetHook(hook.ID))
	check(hook.PushEvents && !hook.TagPushEvents && hook.URL == inbox, hook)
	hooks := must(api.SystemHooks.ListHooks())
	check(len(hooks) == 1 && hooks[0].ID == hook.ID, hooks)
	// This version of the library tests a hook with GET, which only shows the hook. GitLab tests a hook with POST.
	_, _, err := api.SystemHooks.TestHook(hook.ID)
	check(err == nil, err)
	var tested gitlab.HookEvent
	call(http.MethodPost, fmt.Sprintf("hooks/%d", hook.ID), nil, &tested)
	check(tested.EventName == "project_create" && tested.ProjectID == 1 && tested.OwnerEmail == "example@gitlabhq.com", tested)
	_, headers, body := delivery()
	check(headers["X-Gitlab-Event"] == "System Hook" && strings.Contains(string(body), "project_create"), headers, string(body))
	_, err = api.SystemHooks.DeleteHook(hook.ID)
	check(err == nil, err)
	_, _, err = api.SystemHooks.GetHook(hook.ID)
	refused(err, 404, "404 Not found")
}

// bodies reads events with the types of go-gitlab, and checks fields that only GitLab's code shows.
func bodies(project int) {
	yes := ptr(true)
	hook := must(api.Projects.AddProjectHook(project, &gitlab.AddProjectHookOptions{
		URL: ptr(inbox), DeploymentEvents: yes, IssuesEvents: yes, NoteEvents: yes, PushEvents: ptr(false),
	}))

	report(project, "deployment_hooks", `{"id": 1, "environment": "production", "status": "success", "ref": "v1.0"}`)
	event, _, body := delivery()
	deployment, isDeployment := event.(*gitlab.DeploymentEvent)
	check(isDeployment && deployment.Status == "success" && deployment.Environment == "production", string(body))
	same(field(body, "ref"), "v1.0")

	report(project, "note_hooks", `{"id": 1, "note": "Nice", "merge_request":
		{"iid": 1, "title": "t", "reviewers": [{"id": 6, "name": "J", "username": "j"}]}}`)
	event, _, body = delivery()
	note, isNote := event.(*gitlab.MergeCommentEvent)
	check(isNote && note.ObjectAttributes.NoteableType == "MergeRequest" && note.MergeRequest.IID == 1, string(body))
	same(fmt.Sprint(field(body, "merge_request", "reviewer_ids")), "[6]")

	report(project, "issue_hooks", `{"id": 301, "iid": 23, "title": "Gate sticks", "action": "open"}`)
	event, _, body = delivery()
	issue, isIssue := event.(*gitlab.IssueEvent)
	check(isIssue && issue.ObjectAttributes.IID == 23 && issue.ObjectAttributes.State == "opened", string(body))
	same(field(body, "object_attributes", "severity"), "unknown")
	_, err := api.Projects.DeleteProjectHook(project, hook.ID)
	check(err == nil, err)
}

func tokens(project, group int) {
	scopes := []string{"api", "read_api"}
	level := ptr(gitlab.MaintainerPermissions)
	ofProject := must(api.ProjectAccessTokens.CreateProjectAccessToken(project, &gitlab.CreateProjectAccessTokenOptions{
		Name: ptr("ci"), Scopes: ptr(scopes), AccessLevel: level,
	}))
	same(fmt.Sprint(ofProject.Scopes), "[api read_api]")
	check(ofProject.AccessLevel == *level && ofProject.ExpiresAt != nil, ofProject)
	bot := must(client(ofProject.Token).Users.CurrentUser())
	check(bot.Bot && bot.ID == ofProject.UserID, bot)
	rotated := rotate(fmt.Sprintf("projects/%d/access_tokens/%d", project, ofProject.ID), ofProject.Token)
	shown := must(api.ProjectAccessTokens.GetProjectAccessToken(project, rotated.ID))
	check(shown.Active && !shown.Revoked && shown.UserID == bot.ID && fmt.Sprint(shown.Scopes) == "[api read_api]", shown)
	listed := must(api.ProjectAccessTokens.ListProjectAccessTokens(project, nil))
	same(names(listed, func(token *gitlab.ProjectAccessToken) string { return fmt.Sprint(token.ID, token.Active) }),
		fmt.Sprintf("%d false %d true", ofProject.ID, rotated.ID))
	_, err := api.ProjectAccessTokens.RevokeProjectAccessToken(project, rotated.ID)
	check(err == nil, err)
	refused(failure(client(rotated.Token).Users.CurrentUser()), 401, "401 Unauthorized")

	ofGroup := must(api.GroupAccessTokens.CreateGroupAccessToken(group, &gitlab.CreateGroupAccessTokenOptions{
		Name: ptr("ci"), Scopes: ptr([]string{"read_api"}), AccessLevel: ptr(gitlab.OwnerPermissions),
	}))
	rotated = rotate(fmt.Sprintf("groups/%d/access_tokens/%d", group, ofGroup.ID), ofGroup.Token)
	reader := client(rotated.Token)
	check(len(must(reader.Projects.ListProjectHooks(project, nil))) == 20, "the first page")
	_, _, err = reader.Projects.AddProjectHook(project, &gitlab.AddProjectHookOptions{URL: ptr(inbox)})
	refused(err, 403, "insufficient_scope")
	check(must(api.GroupAccessTokens.GetGroupAccessToken(group, rotated.ID)).Active, "the token of a group")
	check(len(must(api.GroupAccessTokens.ListGroupAccessTokens(group, nil))) == 2, "the old token and the new one")
	_, err = api.GroupAccessTokens.RevokeGroupAccessToken(group, rotated.ID)
	check(err == nil, err)
	refused(failure(reader.Users.CurrentUser()), 401, "401 Unauthorized")
}

// people creates a user with roles, lists objects with filters as that user and as an administrator, and blocks the
// user.
func people(gear, sub *gitlab.Group, rope *gitlab.Project) {
	ida := must(api.Users.CreateUser(&gitlab.CreateUserOptions{
		Username: ptr("ida"), Name: ptr("Ida Ridge"), Email: ptr("ida@climb.example"), ResetPassword: ptr(true),
	}))
	_, _, err := api.Users.CreateUser(&gitlab.CreateUserOptions{
		Username: ptr("other"), Name: ptr("Other"), Email: ptr("IDA@climb.example"), ResetPassword: ptr(true),
	})
	refused(err, 409, "Email has already been taken")
	personal := must(api.Users.CreatePersonalAccessToken(ida.ID, &gitlab.CreatePersonalAccessTokenOptions{
		Name: ptr("script"), Scopes: ptr([]string{"api", "read_api"}),
	}))
	check(fmt.Sprint(personal.Scopes) == "[api read_api]", personal)
	rotated := rotate(fmt.Sprintf("personal_access_tokens/%d", personal.ID), personal.Token)
	ofIda := &gitlab.ListPersonalAccessTokensOptions{UserID: ptr(ida.ID)}
	check(len(must(api.PersonalAccessTokens.ListPersonalAccessTokens(ofIda))) == 2, "the old token and the new one")
	hers := client(rotated.Token)

	tape := must(api.Projects.CreateProject(&gitlab.CreateProjectOptions{
		Name: ptr("Tape"), NamespaceID: ptr(gear.ID), Visibility: ptr(gitlab.PublicVisibility),
	}))
	other := must(api.Groups.CreateGroup(&gitlab.CreateGroupOptions{Name: ptr("Other"), Path: ptr("other")}))
	must(api.ProjectMembers.AddProjectMember(rope.ID, &gitlab.AddProjectMemberOptions{
		UserID: ida.ID, AccessLevel: ptr(gitlab.DeveloperPermissions),
	}))
	must(api.ProjectMembers.EditProjectMember(rope.ID, ida.ID, &gitlab.EditProjectMemberOptions{
		AccessLevel: ptr(gitlab.ReporterPermissions),
	}))
	must(api.GroupMembers.AddGroupMember(other.ID, &gitlab.AddGroupMemberOptions{
		UserID: ptr(ida.ID), AccessLevel: ptr(gitlab.OwnerPermissions),
	}))
	same(must(api.ProjectMembers.GetProjectMember(rope.ID, ida.ID)).AccessLevel, gitlab.ReporterPermissions)
	same(must(api.ProjectMembers.GetInheritedProjectMember(rope.ID, ida.ID)).AccessLevel, gitlab.ReporterPermissions)

	projects := func(client *gitlab.Client, options gitlab.ListProjectsOptions) string {
		list := must(client.Projects.ListProjects(&options))
		return names(list, func(project *gitlab.Project) string { return project.Path })
	}
	same(projects(api, gitlab.ListProjectsOptions{}), "rope tape")
	for sort, first := range map[string]int{"asc": rope.ID, "desc": tape.ID} {
		sorted := must(api.Projects.ListProjects(&gitlab.ListProjectsOptions{OrderBy: ptr("id"), Sort: ptr(sort)}))
		same(sorted[0].ID, first)
	}
	same(projects(api, gitlab.ListProjectsOptions{Visibility: ptr(gitlab.PublicVisibility)}), "tape")
	same(projects(api, gitlab.ListProjectsOptions{Search: ptr("rop")}), "rope")
	same(projects(api, gitlab.ListProjectsOptions{IDAfter: ptr(rope.ID)}), "tape")
	same(projects(api, gitlab.ListProjectsOptions{IDBefore: ptr(tape.ID)}), "rope")
	same(projects(api, gitlab.ListProjectsOptions{Membership: ptr(true)}), "")
	same(projects(hers, gitlab.ListProjectsOptions{Membership: ptr(true)}), "rope")
	same(projects(hers, gitlab.ListProjectsOptions{MinAccessLevel: ptr(gitlab.MaintainerPermissions)}), "")
	same(projects(hers, gitlab.ListProjectsOptions{MinAccessLevel: ptr(gitlab.ReporterPermissions)}), "rope")
	same(projects(hers, gitlab.ListProjectsOptions{Owned: ptr(true)}), "")
	must(api.Projects.ArchiveProject(tape.ID))
	same(projects(api, gitlab.ListProjectsOptions{Archived: ptr(true)}), "tape")
	same(projects(api, gitlab.ListProjectsOptions{Archived: ptr(false)}), "rope")
	same(projects(api, gitlab.ListProjectsOptions{Starred: ptr(false)}), "rope tape")
	_, _, err = api.Projects.ListProjects(&gitlab.ListProjectsOptions{Starred: ptr(true)})
	refused(err, 400, "starred")
	_, _, err = api.Projects.ListProjects(&gitlab.ListProjectsOptions{WithProgrammingLanguage: ptr("go")})
	refused(err, 400, "with_programming_language")

	inGroup := func(options gitlab.ListGroupProjectsOptions) int {
		return len(must(api.Groups.ListGroupProjects(gear.ID, &options)))
	}
	same(inGroup(gitlab.ListGroupProjectsOptions{}), 1)
	same(inGroup(gitlab.ListGroupProjectsOptions{IncludeSubGroups: ptr(true)}), 2)
	same(inGroup(gitlab.ListGroupProjectsOptions{IncludeSubGroups: ptr(true), Archived: ptr(false)}), 1)

	groups := func(client *gitlab.Client, options gitlab.ListGroupsOptions) string {
		list := must(client.Groups.ListGroups(&options))
		return names(list, func(group *gitlab.Group) string { return group.FullPath })
	}
	same(groups(api, gitlab.ListGroupsOptions{}), "gear gear/sub other")
	same(groups(api, gitlab.ListGroupsOptions{TopLevelOnly: ptr(true)}), "gear other")
	same(groups(api, gitlab.ListGroupsOptions{SkipGroups: ptr([]int{gear.ID})}), "gear/sub other")
	same(groups(hers, gitlab.ListGroupsOptions{Owned: ptr(true)}), "other")
	same(groups(hers, gitlab.ListGroupsOptions{MinAccessLevel: ptr(gitlab.MaintainerPermissions)}), "other")
	descendants := must(api.Groups.ListDescendantGroups(gear.ID, nil))
	check(len(descendants) == 1 && descendants[0].ID == sub.ID, descendants)
	check(len(must(hers.Namespaces.ListNamespaces(&gitlab.ListNamespacesOptions{OwnedOnly: ptr(true)}))) == 1, "namespaces that ida owns")

	users := func(options gitlab.ListUsersOptions) string {
		list := must(api.Users.ListUsers(&options))
		return names(list, func(user *gitlab.User) string { return user.Username })
	}
	same(users(gitlab.ListUsersOptions{WithoutProjectBots: ptr(true)}), "ida root")
	same(users(gitlab.ListUsersOptions{Admins: ptr(true)}), "root")
	same(users(gitlab.ListUsersOptions{Search: ptr("ida@climb.example")}), "ida")
	same(users(gitlab.ListUsersOptions{Username: ptr("IDA")}), "ida")
	members := func(options gitlab.ListProjectMembersOptions) int {
		return len(must(api.ProjectMembers.ListProjectMembers(rope.ID, &options)))
	}
	same(members(gitlab.ListProjectMembersOptions{Query: ptr("ridge")}), 1)
	same(members(gitlab.ListProjectMembersOptions{Query: ptr("nobody")}), 0)
	same(members(gitlab.ListProjectMembersOptions{UserIDs: ptr([]int{ida.ID, 1})}), 1)
	same(members(gitlab.ListProjectMembersOptions{UserIDs: ptr([]int{1})}), 0)

	_, _, err = hers.Projects.ListProjectHooks(rope.ID, nil)
	refused(err, 403, "403 Forbidden")
	_, _, err = hers.Groups.GetGroup(gear.ID, nil)
	refused(err, 404, "404 Group Not Found")
	_, _, err = hers.SystemHooks.ListHooks()
	refused(err, 403, "403 Forbidden")
	check(must(api.Users.CurrentUser(gitlab.WithSudo("ida"))).Username == "ida", "root acts as ida")
	_, _, err = hers.Users.CurrentUser(gitlab.WithSudo("root"))
	refused(err, 403, "Must be admin to use sudo")
	check(api.Users.BlockUser(ida.ID) == nil, "blocked")
	same(users(gitlab.ListUsersOptions{Blocked: ptr(true)}), "ida")
	refused(failure(hers.Users.CurrentUser()), 403, "blocked")
	check(api.Users.UnblockUser(ida.ID) == nil, "no longer blocked")
	must(hers.Users.CurrentUser())
	_, err = api.ProjectMembers.DeleteProjectMember(rope.ID, ida.ID)
	check(err == nil, err)
	_, err = api.PersonalAccessTokens.RevokePersonalAccessToken(rotated.ID)
	check(err == nil, err)
	refused(failure(hers.Users.CurrentUser()), 401, "401 Unauthorized")
	_, err = api.Users.DeleteUser(ida.ID)
	check(err == nil, err)
	_, _, err = api.Users.GetUser(ida.ID, gitlab.GetUsersOptions{})
	refused(err, 404, "404 User Not Found")
}

func cleanUp(gear *gitlab.Group, rope *gitlab.Project) {
	// Newer versions of the library have options here that older ones lack.
	call(http.MethodDelete, fmt.Sprintf("projects/%d", rope.ID), nil, nil)
	_, _, err := api.Projects.GetProject(rope.ID, nil)
	refused(err, 404, "404 Project Not Found")
	call(http.MethodDelete, fmt.Sprintf("groups/%d", gear.ID), nil, nil)
	_, _, err = api.Groups.GetGroup("gear/sub", nil)
	refused(err, 404, "404 Group Not Found")
}
