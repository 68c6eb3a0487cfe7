/**
 * Where the console's own types meet the node's document (`schema.d.ts`): what the node answers must fit what the console reads.
 *
 * Only types; when the node's document changes so that this no longer holds, the type check names the field.
 */
import type * as model from './model';
import type { components } from './schema';

type Schemas = components['schemas'];

/** Compiles only when everything the node may answer (`Theirs`) can be read as `Ours`. */
type Reads<Ours, Theirs extends Ours> = Theirs;

/** The node's document leaves the words of `state` and `role` to its descriptions; the rest is held to it. */
type ClusterAnswer = Omit<Schemas['ClusterView'], 'nodes'> & {
  nodes: (Omit<Schemas['MemberNodeView'], 'state' | 'role'> & Pick<model.ClusterNode, 'state' | 'role'>)[];
};

export type Agreement = [
  Reads<model.System, Schemas['SystemView']>,
  Reads<model.Status, Schemas['StatusView']>,
  Reads<model.Inventory, Schemas['Inventory']>,
  Reads<model.Me, Schemas['MeView']>,
  Reads<model.User, Schemas['UserView']>,
  Reads<model.Asset, Schemas['AssetView']>,
  Reads<model.Application, Schemas['ApplicationView']>,
  Reads<model.Member, Schemas['MemberView']>,
  Reads<model.Invite, Schemas['InviteView']>,
  Reads<model.CustomRole, Schemas['CustomRoleView']>,
  Reads<model.ApiKey, Schemas['ApiKeyView']>,
  Reads<model.Collection, Schemas['CollectionView']>,
  Reads<model.TrashedApplication, Schemas['TrashedApplicationView']>,
  Reads<model.Session, Schemas['SessionView']>,
  Reads<model.Job, Schemas['JobView']>,
  Reads<model.AuditRecord, Schemas['AuditView']>,
  Reads<model.AuditVerification, Schemas['AuditVerification']>,
  Reads<model.Cluster, ClusterAnswer>,
  Reads<model.Edge, Schemas['EdgeView']>,
  Reads<model.JoinToken, Schemas['JoinTokenView']>,
  Reads<model.Alert, Schemas['AlertView']>,
  Reads<model.AlertChannels, Schemas['AlertChannelsView']>,
  Reads<model.Detail, Schemas['DetailView']>,
  Reads<model.View, Schemas['StartedView']>,
];
