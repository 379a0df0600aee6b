//! `/v1/keys`, and the secret of webhooks.

use axum::Json;
use axum::extract::{Path, State as Extracted};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use clearfleet_common::ErrorCode;
use clearfleet_common::job::OwnerId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{KeyId, KeyName, KeyRecord, NewKey, Quota};
use crate::http::{AppState, Caller, JsonBody, Problem, ProblemBody, Role};

/// The routes.
pub(crate) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(revoke))
        .routes(routes!(webhook_secret))
}

/// A key that is to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyRequest {
    /// What people call it: 1 to 64 characters.
    name: String,
    /// Whose jobs it opens: 1 to 32 of a to z, 0 to 9, `-` and `_`. Yours when left out.
    owner: Option<String>,
    /// What else it may do.
    #[serde(default)]
    role: Role,
    /// Limits in place of the server's.
    #[serde(default)]
    quota: Quota,
}

/// A key. Its secret is shown once, when it is made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyView {
    /// Its id.
    #[schema(value_type = String, format = Uuid)]
    id: KeyId,
    /// What people call it.
    #[schema(value_type = String)]
    name: KeyName,
    /// Whose jobs it opens.
    #[schema(value_type = String)]
    owner: OwnerId,
    /// What else it may do.
    role: Role,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created: Timestamp,
    /// Since when it opens nothing any more.
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked: Option<Timestamp>,
    /// Limits in place of the server's.
    quota: Quota,
}

/// All keys.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyList {
    /// In the order they were made, revoked ones included.
    keys: Vec<KeyView>,
}

/// A key that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MadeKey {
    /// The key.
    #[serde(flatten)]
    key: KeyView,
    /// What its owner shows in `Authorization: Bearer`. It is kept nowhere and cannot be shown again.
    secret: String,
}

/// What webhooks are signed with.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookSecret {
    /// The key of the HMAC-SHA256 in `Clearfleet-Signature`.
    secret: String,
}

impl From<KeyRecord> for KeyView {
    fn from(key: KeyRecord) -> Self {
        Self {
            id: key.id,
            name: key.name,
            owner: key.owner,
            role: key.role,
            created: key.created,
            revoked: key.revoked,
            quota: key.quota,
        }
    }
}

/// A secret belongs in no cache.
fn unstored(answer: impl IntoResponse) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], answer).into_response()
}

/// List keys.
#[utoipa::path(
    get,
    operation_id = "list_keys",
    path = "/v1/keys",
    tag = "keys",
    responses(
        (status = 200, description = "All keys.", body = KeyList),
        (status = "4XX", description = "Refused.", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "It could not be done.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn list(Extracted(state): Extracted<AppState>, caller: Caller) -> Result<Json<KeyList>, Problem> {
    caller.must_be_admin()?;
    let keys = state.keys().list().await?;
    Ok(Json(KeyList {
        keys: keys.into_iter().map(KeyView::from).collect(),
    }))
}

/// Make a key.
#[utoipa::path(
    post,
    operation_id = "add_key",
    path = "/v1/keys",
    tag = "keys",
    request_body = KeyRequest,
    responses(
        (status = 201, description = "The key, with its secret.", body = MadeKey),
        (status = "4XX", description = "Refused.", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "It could not be done.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn add(
    Extracted(state): Extracted<AppState>,
    caller: Caller,
    JsonBody(request): JsonBody<KeyRequest>,
) -> Result<Response, Problem> {
    caller.must_be_admin()?;
    let invalid = |field, said: String| Problem::new(ErrorCode::BodyInvalid, said).with("field", field);
    let name = request
        .name
        .parse()
        .map_err(|e: super::KeyNameError| invalid("name", e.to_string()))?;
    let owner = request.owner.map_or(Ok(caller.owner), |owner| owner.parse::<OwnerId>());
    let added = state.keys().add(NewKey {
        name,
        owner: owner.map_err(|e| invalid("owner", e.to_string()))?,
        role: request.role,
        quota: request.quota,
    });
    let added = added.await?;
    let (owner, role, key) = (added.record.owner, added.record.role, added.record.id);
    tracing::info!(%owner, ?role, %key, "key {key} is made for {owner}");
    let made = MadeKey {
        secret: added.secret.expose().to_owned(),
        key: added.record.into(),
    };
    Ok(unstored((StatusCode::CREATED, Json(made))))
}

/// Revoke a key.
///
/// It opens nothing any more at this server, and within half a minute at others that share its store. The last key of the
/// role admin cannot be revoked.
#[utoipa::path(
    delete,
    operation_id = "revoke_key",
    path = "/v1/keys/{id}",
    tag = "keys",
    params(("id" = String, Path, format = Uuid, description = "The key.")),
    responses(
        (status = 204, description = "It is revoked, now or before."),
        (status = "4XX", description = "Refused.", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "It could not be done.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn revoke(
    Extracted(state): Extracted<AppState>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    caller.must_be_admin()?;
    let no_such = |_| Problem::new(ErrorCode::NotFound, "there is no such key");
    let key = state.keys().revoke(id.parse::<KeyId>().map_err(no_such)?).await?;
    let (owner, key) = (key.owner, key.id);
    tracing::info!(%owner, %key, "key {key} of {owner} is revoked");
    Ok(StatusCode::NO_CONTENT)
}

/// The secret of your webhooks.
///
/// Receivers check `Clearfleet-Signature` with it: `v1=` and, in hex, the HMAC-SHA256 of `Clearfleet-Timestamp`, a dot and
/// the body.
#[utoipa::path(
    get,
    path = "/v1/webhook-secret",
    tag = "keys",
    responses(
        (status = 200, description = "It is the same for all of an owner's keys.", body = WebhookSecret),
        (status = "4XX", description = "Refused.", body = ProblemBody, content_type = "application/problem+json"),
        (status = "5XX", description = "It could not be done.", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn webhook_secret(Extracted(state): Extracted<AppState>, caller: Caller) -> Result<Response, Problem> {
    let secrets = state.hook_secrets();
    let secrets = secrets.ok_or_else(|| Problem::new(ErrorCode::NotOffered, "this server sends no webhooks"))?;
    let secret = secrets.of(caller.owner).expose().to_owned();
    Ok(unstored(Json(WebhookSecret { secret })))
}
