import { Button, Group, Paper, Stack, Text, Title } from '@mantine/core';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { CircleCheck } from 'lucide-react';
import * as api from '../../api/calls';
import type { Alert } from '../../api/model';
import { keys, openAlertsQuery, pastAlertsQuery } from '../../api/queries';
import { DataTable } from '../../parts/DataTable';
import { Loaded } from '../../parts/Loaded';
import { ButtonLink } from '../../parts/links';
import { Page } from '../../parts/Page';
import { Section } from '../../parts/Section';
import { Empty, RowsSkeleton } from '../../parts/States';
import { TimeAgo } from '../../parts/TimeAgo';
import { useAct } from '../../parts/useAct';
import { useText } from '../../text/TextProvider';
import type { TextKey } from '../../text/t';
import { addressOf, useAlertText } from './alertText';
import { Channels } from './Channels';

const colors = { info: 'blue', warning: 'yellow', critical: 'red' } as const;

/** What is wrong now, what was, and who is told. */
export function AlertsPage() {
  const { t } = useText();
  const open = useQuery({ ...openAlertsQuery, refetchInterval: 30_000 });
  return (
    <Page title={t('alerts.title')} lead={t('alerts.lead')} narrow>
      <Loaded query={open}>
        {(page) =>
          page.items.length === 0 ? (
            <Empty icon={<CircleCheck />} title={t('alerts.none')} text={t('alerts.noneText')} />
          ) : (
            <ul className="plain-list alert-list" aria-label={t('alerts.now')}>
              {page.items.map((alert) => (
                <AlertCard key={alert.id} alert={alert} />
              ))}
            </ul>
          )
        }
      </Loaded>
      <Channels />
      <Past />
    </Page>
  );
}

/** One alert: what, since when, what to do, and that somebody takes care of it. */
function AlertCard({ alert }: { alert: Alert }) {
  const { t } = useText();
  const text = useAlertText()(alert);
  const acknowledge = useAct({
    act: () => api.acknowledgeAlert(alert.id),
    done: t('alerts.acknowledgedDone'),
    touches: [keys.alerts],
  });
  return (
    <Paper withBorder p="md" component="li" className={`card alert-card alert-${alert.severity}`}>
      <Stack gap="sm">
        <Group justify="space-between" align="flex-start" gap="sm">
          <div className="grow-min">
            <Title order={2}>{text.title}</Title>
            {text.facts && (
              <Text size="sm" c="dimmed" mt={2} className="breakable">
                {text.facts}
              </Text>
            )}
          </div>
          <span className={`state state-${colors[alert.severity]}`}>
            {t(`alerts.severity.${alert.severity}` as TextKey)}
          </span>
        </Group>
        <Text size="sm">{text.advice}</Text>
        <Group justify="space-between" gap="sm">
          <Text size="sm" c="dimmed">
            {t('alerts.firstSeen')} <TimeAgo ms={alert.first_seen_ms} />, {t('alerts.lastSeen')}{' '}
            <TimeAgo ms={alert.last_seen_ms} />
            {alert.times > 1 && `, ${t('alerts.times', { count: alert.times })}`}
          </Text>
          <Group gap="xs">
            <ButtonLink size="xs" variant="default" {...addressOf(alert)} aria-label={t('alerts.lookAt', text)}>
              {t('alerts.look')}
            </ButtonLink>
            {alert.acknowledged_ms ? (
              <Text size="sm" className="good">
                {t('alerts.acknowledgedBy', { name: alert.acknowledged_by ?? '' })}
              </Text>
            ) : (
              <Button
                size="xs"
                variant="light"
                loading={acknowledge.isPending}
                onClick={() => acknowledge.mutate()}
                aria-label={t('alerts.acknowledgeWhat', text)}
              >
                {t('alerts.acknowledge')}
              </Button>
            )}
          </Group>
        </Group>
      </Stack>
    </Paper>
  );
}

/** What is over, newest first. */
function Past() {
  const { t } = useText();
  const textOf = useAlertText();
  const found = useInfiniteQuery(pastAlertsQuery);
  const past = found.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Section title={t('alerts.past')} lead={t('alerts.pastLead')}>
      {found.isPending && <RowsSkeleton rows={2} />}
      {found.isSuccess && past.length === 0 && (
        <Text size="sm" c="dimmed">
          {t('alerts.pastNone')}
        </Text>
      )}
      {past.length > 0 && (
        <DataTable
          label={t('alerts.past')}
          rows={past}
          rowKey={(alert) => String(alert.id)}
          columns={[
            {
              title: t('alerts.what'),
              cell: (alert) => {
                const text = textOf(alert);
                return (
                  <>
                    <Text size="sm" fw={600}>
                      {text.title}
                    </Text>
                    <Text size="xs" c="dimmed">
                      {text.facts}
                    </Text>
                  </>
                );
              },
            },
            { title: t('alerts.firstSeen'), cell: (alert) => <TimeAgo ms={alert.first_seen_ms} />, nowrap: true },
            {
              title: t('alerts.overSince'),
              cell: (alert) => <TimeAgo ms={alert.resolved_ms ?? alert.last_seen_ms} />,
              nowrap: true,
            },
          ]}
        />
      )}
      {found.hasNextPage && (
        <Group justify="center">
          <Button variant="subtle" loading={found.isFetchingNextPage} onClick={() => void found.fetchNextPage()}>
            {t('action.more')}
          </Button>
        </Group>
      )}
    </Section>
  );
}
