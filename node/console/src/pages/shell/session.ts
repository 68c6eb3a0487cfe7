/** Who is here and which application they are in. */
import { useQuery } from '@tanstack/react-query';
import { useParams } from '@tanstack/react-router';
import { useState } from 'react';
import type { Ability, Me, Membership } from '../../api/model';
import { assetQuery, meQuery } from '../../api/queries';

const storageKey = 'mediakeep.application';

const nobody: Me = {
  user: { id: '', username: '', admin: false, suspended: false },
  applications: [],
  recovery_unconfirmed: false,
};

/**
 * The person whose page this is; only used below the `inside` route, which sees to it that there is one.
 *
 * A session that ends does not change the page below the log-in: it stays that of who was there.
 */
export function useMe(): Me {
  const me = useQuery(meQuery).data;
  const [last, setLast] = useState(me);
  if (me && me !== last) setLast(me);
  return me ?? last ?? nobody;
}

function readLast(): string | undefined {
  try {
    return localStorage.getItem(storageKey) ?? undefined;
  } catch {
    return undefined;
  }
}

export function rememberApplication(id: string): void {
  try {
    localStorage.setItem(storageKey, id);
  } catch {
    // The choice is then made anew next time.
  }
}

/** The application of the page: from the address, from the asset shown, else the last one used, else the first. */
export function useApplication(): Membership | undefined {
  const me = useMe();
  const params = useParams({ strict: false });
  const asset = useQuery({ ...assetQuery(params.asset ?? ''), enabled: params.asset !== undefined }).data;
  const wanted = params.app ?? asset?.application ?? readLast();
  const found = me.applications.find((application) => application.id === wanted);
  return found ?? (params.app === undefined ? me.applications[0] : undefined);
}

/** True when the person may do this in the application; the node decides again, this only shapes the page. */
export function useMay(application: string | undefined): (ability: Ability) => boolean {
  const me = useMe();
  const abilities = me.applications.find((one) => one.id === application)?.abilities;
  return (ability) => me.user.admin || (abilities?.includes(ability) ?? false);
}

const changes: Ability[] = ['describe', 'publish', 'access', 'trash', 'process', 'purge', 'hold'];

/** Whether there is anything that the person may do with an asset but to see it. */
export function mayChange(may: (ability: Ability) => boolean): boolean {
  return changes.some(may);
}
