/**
 * File-tree sync over QUIC: rsync's meaning behind an awaitable API.
 *
 * @packageDocumentation
 */
export { ERROR_CODES } from './codes.js';
export type { ErrorCode, Side } from './codes.js';
export { authorizedKeys, revokeKey } from './authorized-keys.js';
export { rotateKey, serverKey } from './key-rotation.js';
export type { RotateKeyOptions, ServerKey } from './key-rotation.js';
export type { AuthorizedKey, AuthorizedKeysOptions } from './authorized-keys.js';
export { serverStatus, startServer, stopServer } from './background-server.js';
export type { BackgroundServer, PidFileOptions, StartServerOptions, StopServerOptions } from './background-server.js';
export { connect } from './connection.js';
export type {
  Connection,
  ConnectionPlanOptions,
  QuestionOptions,
  EntryStat,
  ListEntry,
  PlanDirection,
  RemoteSources,
} from './connection.js';
export {
  AbortedError,
  AccessError,
  BusyError,
  ConfigError,
  ConnectionError,
  DeleteRefusedError,
  HostKeyError,
  InternalError,
  IoError,
  LimitError,
  MaxDeleteError,
  PlanStaleError,
  NoSpaceError,
  NotFoundError,
  PartialSyncError,
  PlatformError,
  ProtocolError,
  SparsyncError,
} from './errors.js';
export type { ErrorDetails, SparsyncErrorInit } from './errors.js';
export type {
  Action,
  ConnectedEvent,
  NextServerKey,
  DoneEvent,
  DroppedEvent,
  EntryKind,
  EntryPath,
  Failure,
  FailureCode,
  FailureCounts,
  FailureEvent,
  FilterEvent,
  ItemDetails,
  ItemEvent,
  PlanItem,
  ProgressEvent,
  Reason,
  RetryEvent,
  SyncEvent,
  SyncResult,
  Warning,
  WarningCode,
  WarningEvent,
} from './events.js';
export { invite, issueCredential, join } from './invitations.js';
export type { Invitation, InviteOptions, IssuedCredential, JoinOptions, Joined } from './invitations.js';
export { joinViaSsh } from './via-ssh.js';
export type { JoinViaSshOptions } from './via-ssh.js';
export type { SyncJob } from './job.js';
export { list } from './list.js';
export type {
  ConnectOptions,
  EventOptions,
  FilterRule,
  IdentityOptions,
  KeepRule,
  PlanOptions,
  RetryOptions,
  SnapshotOptions,
  SyncOptions,
  TransferOptions,
  TrustOptions,
  VerifyOptions,
} from './options.js';
export type { Logger } from './logger.js';
export type { PathLike, Sources } from './paths.js';
export { explain } from './explain.js';
export type { Explanation } from './explain.js';
export { plan } from './plan.js';
export type { Plan } from './plan.js';
export type {
  ProfileEnd,
  ProfileFigures,
  ProfileLine,
  ProfilePhase,
  ProfileRecord,
  ProfileSplit,
  ProfileSummary,
  ProfileThread,
  SyncProfile,
} from './profile.js';
export type { RunMessage, WatchedRun } from './run-messages.js';
export { serve } from './server.js';
export type { CommandPlace, PipePlace, ShellPlace } from './shell.js';
export type { CloseOptions, Server, ServerStats } from './server.js';
export type {
  ServerAnsweredEvent,
  ServerClient,
  ServerConnectedEvent,
  ServerDisconnectedEvent,
  ServerDroppedEvent,
  ServerEvent,
  ServerEventListener,
  ServerHandshakesRefusedEvent,
  ServerJoinedEvent,
  ServerKeysEvent,
  ServerKeyEvent,
  ServerKeyUnusableEvent,
  ServerKeysUnreadableEvent,
  ServerProblem,
  ServerRefusedEvent,
  ServerRequest,
  ServerRevokedEvent,
  ServerSessionEvent,
} from './server-events.js';
export type { ProfileListener } from './server-profile.js';
export type { AllowedClient, Operation, ReloadOptions, RootOptions, ServeOptions } from './server-options.js';
export type { SyncStats } from './stats.js';
export { sync } from './sync.js';
export { DEFAULT_PORT } from './target.js';
export type { Location } from './target.js';
export { identity, pinKey, pinnedKeys, pinnedServers, unpinKeys } from './trust.js';
export type { Identity, KnownHostsOptions, PinOptions, PinnedServer } from './trust.js';
export { verify } from './verify.js';
export type { Verification, VerifyResult } from './verify.js';
export type { Congestion } from './congestion.js';
export type { Transport, TransportChoice, UdpOutcome } from './transports.js';
export type { Changing, Compare, Compression, Durability, MissingSources } from './words.js';
