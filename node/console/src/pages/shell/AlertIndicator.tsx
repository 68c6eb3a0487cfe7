import { Tooltip } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Bell } from 'lucide-react';
import { openAlertsQuery } from '../../api/queries';
import { useText } from '../../text/TextProvider';
import { useMe } from './session';

/** A bell in the header while something is wrong that nobody takes care of; leads to the alerts. */
export function AlertIndicator() {
  const { t } = useText();
  const me = useMe();
  const found = useQuery({ ...openAlertsQuery, enabled: me.user.admin, refetchInterval: 60_000 });
  const unseen = (found.data?.items ?? []).filter((alert) => !alert.acknowledged_ms && alert.severity !== 'info');
  if (unseen.length === 0) return null;
  const critical = unseen.some((alert) => alert.severity === 'critical');
  const label = t('alerts.indicator', { count: unseen.length });
  return (
    <Tooltip label={label}>
      <Link to="/alerts" aria-label={label} className="bell" data-critical={critical || undefined}>
        <Bell size={18} aria-hidden="true" />
        <span className="bell-count" aria-hidden="true">
          {unseen.length}
        </span>
      </Link>
    </Tooltip>
  );
}
