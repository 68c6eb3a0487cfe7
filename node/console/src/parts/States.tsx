import { Button, Code, Group, Skeleton, Stack, Text, Title } from '@mantine/core';
import { CircleAlert, Lock, SearchX } from 'lucide-react';
import type { ReactNode } from 'react';
import { Problem } from '../api/client';
import { useText } from '../text/TextProvider';
import { ButtonLink } from './links';
import { useProblemText } from './problemText';

/** Nothing here yet, and what to do about it. */
export function Empty(props: { icon: ReactNode; title: string; text?: string; children?: ReactNode }) {
  return (
    <Stack align="center" gap="sm" className="empty">
      <span className="empty-icon" aria-hidden="true">
        {props.icon}
      </span>
      <Title order={2} ta="center">
        {props.title}
      </Title>
      {props.text && (
        <Text c="dimmed" ta="center" maw={440}>
          {props.text}
        </Text>
      )}
      {props.children}
    </Stack>
  );
}

/** Whether an error takes the place of a page: there is nothing to show, or it may be shown no longer. */
export function takesThePage(query: { error: unknown; data: unknown }): boolean {
  if (!query.error) return false;
  return query.data === undefined || (query.error instanceof Problem && isFinal(query.error));
}

/** A refused or failed answer: what, which code, which request, and a way to try again. */
export function ErrorState(props: { error: unknown; retry?: () => void }) {
  const { t } = useText();
  const problemText = useProblemText();
  const problem = props.error instanceof Problem ? props.error : undefined;
  const { icon, title } = lookOf(problem, t);
  return (
    <Stack align="center" gap="sm" className="empty" role="alert">
      <span className="empty-icon" aria-hidden="true">
        {icon}
      </span>
      <Title order={2} ta="center">
        {title}
      </Title>
      <Text c="dimmed" ta="center" maw={480}>
        {problemText(props.error)}
      </Text>
      {problem && (
        <Group gap="xs" justify="center">
          <Code>{problem.code}</Code>
          {problem.requestId && (
            <Text size="xs" c="dimmed">
              {t('problem.request', { id: problem.requestId })}
            </Text>
          )}
        </Group>
      )}
      {isFinal(problem) && <ButtonLink to="/">{t('missing.home')}</ButtonLink>}
      {props.retry && !isFinal(problem) && (
        <Button variant="light" onClick={props.retry}>
          {t('action.retry')}
        </Button>
      )}
    </Stack>
  );
}

/** Asking again would give the same answer. */
const isFinal = (problem: Problem | undefined) => problem?.status === 403 || problem?.status === 404;

function lookOf(problem: Problem | undefined, t: ReturnType<typeof useText>['t']) {
  if (problem?.status === 403) return { icon: <Lock />, title: t('problem.forbidden') };
  if (problem?.status === 404) return { icon: <SearchX />, title: t('problem.missing') };
  return { icon: <CircleAlert />, title: t('problem.title') };
}

/** Grey bars while rows are on their way. */
export function RowsSkeleton(props: { rows?: number }) {
  const { t } = useText();
  return (
    <Stack gap="sm" role="status" aria-label={t('loading')}>
      {Array.from({ length: props.rows ?? 6 }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: grey bars have no identity
        <Skeleton key={row} height={44} />
      ))}
    </Stack>
  );
}
