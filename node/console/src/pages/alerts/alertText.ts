/** Alerts in the reader's language; a kind without words of its own is told in the node's. */
import type { Alert } from '../../api/model';
import type { To } from '../../router';
import { useText } from '../../text/TextProvider';
import type { TextKey } from '../../text/t';

/** Kinds that have `alerts.kind.KIND` and `alerts.advice.KIND`. */
const kinds = new Set([
  'few_nodes',
  'copies_missing',
  'node_silent',
  'edge_silent',
  'time_held',
  'recovery_key_unconfirmed',
  'jobs_failed',
  'disk_nearly_full',
  'clock_apart',
  'certificate_ends',
  'tls_weakened',
  'authority_ends',
  'damage_found',
  'work_failing',
  'backup_old',
  'backup_drill_failed',
]);

/** Details that have a word of their own: `alerts.detail.NAME`. */
const details = new Set([
  'node',
  'edge',
  'site',
  'nodes',
  'assets',
  'none',
  'one',
  'two',
  'free_percent',
  'ahead_seconds',
  'days',
  'age_days',
  'age_hours',
  'target',
  'copies',
  'beyond_repair',
  'work',
  'findings',
]);

export interface AlertText {
  [name: string]: string;
  title: string;
  advice: string;
  facts: string;
}

export function useAlertText(): (alert: Alert) => AlertText {
  const { t } = useText();
  return (alert) => {
    const known = kinds.has(alert.kind);
    const facts = Object.entries(alert.details)
      .filter(([, value]) => value !== '0')
      .map(([name, value]) => {
        const word = details.has(name) ? t(`alerts.detail.${name}` as TextKey) : name.replaceAll('_', ' ');
        return `${word}: ${value}`;
      });
    return {
      title: known ? t(`alerts.kind.${alert.kind}` as TextKey) : alert.title,
      advice: known ? t(`alerts.advice.${alert.kind}` as TextKey) : alert.advice,
      facts: facts.join(' · '),
    };
  };
}

/** Where the alert's link leads, as the router takes it. */
export function addressOf(alert: Alert): { to: To; search: never } {
  const [path, search] = alert.link.split('?');
  // The node names only pages that there are; which search each takes is the page's own matter.
  return { to: path as To, search: Object.fromEntries(new URLSearchParams(search)) as never };
}
